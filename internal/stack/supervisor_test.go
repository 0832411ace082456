package stack

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// shellStack supervises shell scripts instead of parts.
func shellStack(t *testing.T) *Stack {
	t.Helper()
	return &Stack{folder: Folder(t.TempDir()), binary: "/bin/sh", log: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline, tick := time.After(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-deadline:
			t.Fatalf("%s: not in time", what)
		case <-tick.C:
		}
	}
}

func record(t *testing.T, s *Stack, part string) (Process, bool) {
	t.Helper()
	var process Process
	found, err := readJSON(s.folder.processFile(part), &process)
	if err != nil {
		t.Fatal(err)
	}
	return process, found
}

func TestPartThatDiesIsStartedAgain(t *testing.T) {
	s := shellStack(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	var deaths atomic.Int64
	go func() {
		defer close(done)
		// It dies once, then stays.
		s.supervise(ctx, part{name: "kettle", args: []string{"-c", "echo started; test -e $0/once && exec sleep 60; touch $0/once; exit 3", string(s.folder)}}, &deaths)
	}()
	eventually(t, "the second start", func() bool {
		process, found := record(t, s, "kettle")
		log, err := os.ReadFile(s.folder.LogFile("kettle"))
		return err == nil && strings.Count(string(log), "started") == 2 && found && process.Restarts == 1 && process.Alive()
	})
	if deaths.Load() != 1 {
		t.Errorf("%d deaths counted, want 1", deaths.Load())
	}
	process, _ := record(t, s, "kettle")
	stop()
	<-done
	if process.Alive() {
		t.Error("the part outlives its supervisor")
	}
}

func TestEndPartsEndsWhatASupervisorLeft(t *testing.T) {
	folder := Folder(t.TempDir())
	_, process := sleeper(t, ":")
	if err := writeJSON(folder.processFile("broker"), process); err != nil {
		t.Fatal(err)
	}
	if err := endParts(folder); err != nil {
		t.Fatal(err)
	}
	if process.Alive() {
		t.Error("the part still runs")
	}
	if _, err := os.Stat(folder.processFile("broker")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its record is still there: %v", err)
	}
}

func TestWaitReady(t *testing.T) {
	var none, many atomic.Int64
	many.Store(hopeless)
	silent := part{name: "kettle", ready: func(context.Context) error { return errors.New("no answer") }}
	if err := waitReady(t.Context(), part{name: "kettle", ready: func(context.Context) error { return nil }}, time.Second, &none); err != nil {
		t.Errorf("a part that answers: %v", err)
	}
	if err := waitReady(t.Context(), silent, time.Hour, &many); err == nil || err.Error() != "the kettle does not start" {
		t.Errorf("a part that keeps dying: %v", err)
	}
	if err := waitReady(t.Context(), silent, 0, &none); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("a part that does not answer: %v", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := waitReady(stopped, silent, time.Hour, &none); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestLogIsMovedAsideWhenFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log", "kettle.log")
	write := func() {
		log, err := openLog(path)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		if _, err := io.WriteString(log, "line\n"); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if err := os.Truncate(path, maxLog+1); err != nil {
		t.Fatal(err)
	}
	write()
	if lastLine(path) != "line" {
		t.Errorf("the new log ends in %q", lastLine(path))
	}
	if info, err := os.Stat(path + ".1"); err != nil || info.Size() != maxLog+1 {
		t.Errorf("the full log: %v, %v", info, err)
	}
	if got := lastLine(path + ".none"); got != "(no log)" {
		t.Errorf("a log that does not exist ends in %q", got)
	}
}
