package task_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

func TestOpenEndsWhatAKilledProcessLeft(t *testing.T) {
	dir := t.TempDir()
	d, err := db.Open(t.Context(), filepath.Join(dir, "director.db"))
	if err != nil {
		t.Fatal(err)
	}
	states := []string{task.StateProcessing, task.StateQueued, task.StateCancelling, task.StateDone}
	for _, state := range states {
		row := db.Task{State: state, Type: "update_deployment"}
		if state == task.StateDone {
			row.FinishedAt, row.Result = time.Unix(1, 0), "kept"
		}
		if _, err := d.AddTask(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	events := filepath.Join(dir, "tasks", "1", "event")
	if err := os.MkdirAll(filepath.Dir(events), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(events, []byte(`{"whole":1}`+"\n"+`{"cut of`), 0o600); err != nil {
		t.Fatal(err)
	}

	f := newFixture(t, dir, task.Config{})
	for n, state := range states[:3] {
		row := f.await(int64(n+1), task.StateError)
		if !strings.Contains(row.Result, state) || row.FinishedAt.IsZero() {
			t.Errorf("%s: got %+v", state, row)
		}
		lines := strings.Split(strings.TrimSpace(f.output(row.ID, task.OutputEvent)), "\n")
		if last := lines[len(lines)-1]; !strings.Contains(last, `"error":{"code":100,`) || !strings.HasPrefix(last, `{"time":`) {
			t.Errorf("%s: last event %q", state, last)
		}
	}
	if row := f.await(4, task.StateDone); row.Result != "kept" {
		t.Errorf("finished task: got %+v", row)
	}
	if locks := f.Locks(); len(locks) != 0 {
		t.Errorf("locks: got %+v", locks)
	}
}

func TestCloseLetsARunningTaskFinish(t *testing.T) {
	f := newFixture(t, t.TempDir(), task.Config{Workers: 1})
	block, release := blocker()
	running := f.enqueue(task.Request{}, block)
	f.await(running, task.StateProcessing)
	queued := f.enqueue(task.Request{}, block)
	closed := make(chan error)
	go func() { closed <- f.Close(context.Background()) }()
	f.await(queued, task.StateError)
	if _, err := f.Enqueue(t.Context(), task.Request{}, block); !errors.Is(err, task.ErrClosed) {
		t.Errorf("enqueue while closing: got %v, want ErrClosed", err)
	}
	close(release)
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
	if row := f.await(running, task.StateDone); row.Result != "released" {
		t.Errorf("got %+v", row)
	}
}

func TestCloseStopsATaskThatTakesTooLong(t *testing.T) {
	f := newFixture(t, t.TempDir(), task.Config{})
	block, _ := blocker()
	id := f.enqueue(task.Request{}, block)
	f.await(id, task.StateProcessing)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := f.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if row := f.await(id, task.StateError); !strings.HasPrefix(row.Result, "The director was stopped") {
		t.Errorf("got %+v", row)
	}
}

func TestOldTasksAreRemovedByType(t *testing.T) {
	f := newFixture(t, t.TempDir(), task.Config{Keep: 5})
	nothing := func(context.Context, *task.Run) (string, error) { return "", nil }
	kept := f.enqueue(task.Request{Type: "update_deployment"}, nothing)
	f.await(kept, task.StateDone)
	var last int64
	for range 60 {
		last = f.enqueue(task.Request{Type: "vms", Urgent: true}, nothing)
		f.await(last, task.StateDone)
	}
	f.poll("old tasks to be removed", func() bool {
		rows, err := f.db.Tasks(t.Context(), db.TaskFilter{Types: []string{"vms"}})
		if err != nil {
			t.Fatal(err)
		}
		return len(rows) <= 5+20
	})
	if _, err := os.Stat(filepath.Join(f.dir, "tasks", "2")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("output of a removed task: got %v, want none", err)
	}
	f.await(kept, task.StateDone)
	f.await(last, task.StateDone)
}
