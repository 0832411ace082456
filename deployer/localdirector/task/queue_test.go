package task_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// fixture is a queue on a database of its own.
type fixture struct {
	*task.Queue
	t   *testing.T
	dir string
	db  *db.DB
}

func newFixture(t *testing.T, dir string, config task.Config) *fixture {
	t.Helper()
	d, err := db.Open(t.Context(), filepath.Join(dir, "director.db"))
	if err != nil {
		t.Fatal(err)
	}
	config.DB, config.Dir, config.Log = d, filepath.Join(dir, "tasks"), slog.New(slog.DiscardHandler)
	if config.LockTimeout == 0 {
		config.LockTimeout = 50 * time.Millisecond
	}
	q, err := task.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	q.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := errors.Join(q.Close(ctx), d.Close()); err != nil {
			t.Error(err)
		}
	})
	return &fixture{Queue: q, t: t, dir: dir, db: d}
}

func (f *fixture) enqueue(r task.Request, do task.Func) int64 {
	f.t.Helper()
	id, err := f.Enqueue(f.t.Context(), r, do)
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

// poll waits until done says so.
func (f *fixture) poll(what string, done func() bool) {
	f.t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			f.t.Fatalf("waited 10 s for %s", what)
		}
	}
}

// await waits until the task is in the state.
func (f *fixture) await(id int64, state string) db.Task {
	f.t.Helper()
	var got db.Task
	f.poll(fmt.Sprintf("task %d to be %s", id, state), func() bool {
		var err error
		if got, err = f.db.Task(f.t.Context(), id); err != nil {
			f.t.Fatal(err)
		}
		return got.State == state
	})
	return got
}

func (f *fixture) output(id int64, kind string) string {
	f.t.Helper()
	file, err := f.Output(id, kind)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// blocker is a function that runs until it is released or told to stop.
func blocker() (task.Func, chan struct{}) {
	release := make(chan struct{})
	return func(ctx context.Context, _ *task.Run) (string, error) {
		select {
		case <-release:
			return "released", nil
		case <-ctx.Done():
			return "", fmt.Errorf("waiting: %w", ctx.Err())
		}
	}, release
}

// at makes every timestamp the one of the captures.
func at() time.Time { return time.Unix(1795345120, 0) }

func TestEventsLookLikeTheDirectors(t *testing.T) {
	f := newFixture(t, t.TempDir(), task.Config{Now: at})
	id := f.enqueue(task.Request{Description: "create deployment"}, func(_ context.Context, run *task.Run) (string, error) {
		one := run.Stage("Preparing deployment", 1)
		_ = one.Do("Preparing deployment", func(*task.Step) error { return nil })
		_ = one.Do("Rendering <templates>", func(*task.Step) error { return nil })
		step := run.Stage("Updating instance", 2, "web").Step("web/cf (0) (canary)")
		step.InProgress(5, "executing pre-stop")
		step.Failed(errors.New("it broke"))
		return "", task.Errorf(450001, "it broke")
	})
	got := f.await(id, task.StateError)
	want := `{"time":1795345120,"stage":"Preparing deployment","tags":[],"total":1,"task":"Preparing deployment","index":1,"state":"started","progress":0}
{"time":1795345120,"stage":"Preparing deployment","tags":[],"total":1,"task":"Preparing deployment","index":1,"state":"finished","progress":100}
{"time":1795345120,"stage":"Preparing deployment","tags":[],"total":1,"task":"Rendering <templates>","index":2,"state":"started","progress":0}
{"time":1795345120,"stage":"Preparing deployment","tags":[],"total":1,"task":"Rendering <templates>","index":2,"state":"finished","progress":100}
{"time":1795345120,"stage":"Updating instance","tags":["web"],"total":2,"task":"web/cf (0) (canary)","index":1,"state":"started","progress":0}
{"time":1795345120,"stage":"Updating instance","tags":["web"],"total":2,"task":"web/cf (0) (canary)","index":1,"state":"in_progress","progress":5,"data":{"status":"executing pre-stop"}}
{"time":1795345120,"stage":"Updating instance","tags":["web"],"total":2,"task":"web/cf (0) (canary)","index":1,"state":"failed","progress":100,"data":{"error":"it broke"}}
{"time":1795345120,"error":{"code":450001,"message":"it broke"}}
`
	if events := f.output(id, task.OutputEvent); events != want {
		t.Errorf("events: got\n%s\nwant\n%s", events, want)
	}
	if got.Result != "it broke" || got.StartedAt.Unix() != at().Unix() || got.FinishedAt.Unix() != at().Unix() {
		t.Errorf("row: got %+v", got)
	}
}

func TestResultsOfATask(t *testing.T) {
	long := "Failed to acquire lock for lock:deployment:demo uid: 947bc65c-9a2b-49b7-a40f-7ef9311efd06. Locking task id is 14, description: 'create deployment'"
	cases := map[string]struct {
		do            task.Func
		state, result string
		event         string
	}{
		"done": {func(context.Context, *task.Run) (string, error) { return "/deployments/demo", nil }, task.StateDone, "/deployments/demo", ""},
		"an error without a code": {func(context.Context, *task.Run) (string, error) { return "", errors.New("boom") }, task.StateError, "boom",
			`"error":{"code":100,"message":"boom"}`},
		"a wrapped code": {func(context.Context, *task.Run) (string, error) {
			return "", fmt.Errorf("while deploying: %w", task.Errorf(50003, "no stemcell"))
		}, task.StateError, "while deploying: no stemcell", `"code":50003`},
		"a long error is cut at a word": {func(context.Context, *task.Run) (string, error) { return "", errors.New(long) }, task.StateError,
			"Failed to acquire lock for lock:deployment:demo uid: 947bc65c-9a2b-49b7-a40f-7ef9311efd06. Locking task id is 14, description:...",
			`description: 'create deployment'"}`},
		"a panic": {func(context.Context, *task.Run) (string, error) { panic("secret") }, task.StateError,
			"Internal error in task 1: see its debug log", `"code":100`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, t.TempDir(), task.Config{})
			id := f.enqueue(task.Request{}, c.do)
			if got := f.await(id, c.state); got.Result != c.result {
				t.Errorf("result: got %q, want %q", got.Result, c.result)
			}
			if events := f.output(id, task.OutputEvent); !strings.Contains(events, c.event) || strings.Contains(events, "secret") {
				t.Errorf("events: got %q, want %q in it", events, c.event)
			}
		})
	}
}

func TestQueueRunsThreeAndCancelsAQueuedOne(t *testing.T) {
	f := newFixture(t, t.TempDir(), task.Config{})
	block, release := blocker()
	var ids []int64
	for range 5 {
		ids = append(ids, f.enqueue(task.Request{Description: "create deployment"}, block))
	}
	for _, id := range ids[:3] {
		f.await(id, task.StateProcessing)
	}
	for _, id := range ids[3:] {
		if got := f.await(id, task.StateQueued); !got.StartedAt.IsZero() {
			t.Errorf("queued task %d has started at %v", id, got.StartedAt)
		}
	}
	urgent := f.enqueue(task.Request{Urgent: true}, func(context.Context, *task.Run) (string, error) { return "", nil })
	f.await(urgent, task.StateDone)

	if err := f.Cancel(t.Context(), ids[4]); err != nil {
		t.Fatal(err)
	}
	got := f.await(ids[4], task.StateCancelled)
	if got.Result != "task cancelled" || !got.StartedAt.IsZero() || got.FinishedAt.IsZero() {
		t.Errorf("cancelled in the queue: got %+v", got)
	}
	if events := f.output(ids[4], task.OutputEvent); !strings.Contains(events, `"error":{"code":10001,"message":"Task 5 cancelled"}}`) {
		t.Errorf("events: got %q", events)
	}
	close(release)
	f.await(ids[3], task.StateDone)
}

func TestCancelARunningTask(t *testing.T) {
	f := newFixture(t, t.TempDir(), task.Config{})
	stopping, stopped := make(chan struct{}), make(chan struct{})
	id := f.enqueue(task.Request{}, func(ctx context.Context, run *task.Run) (string, error) {
		return "", run.Stage("Updating instance", 1, "web").Do("web/0", func(*task.Step) error {
			<-ctx.Done()
			close(stopping)
			<-stopped
			return fmt.Errorf("wait for the agent: %w", ctx.Err())
		})
	})
	f.await(id, task.StateProcessing)
	if err := f.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	<-stopping
	f.await(id, task.StateCancelling)
	var refused *task.NotCancellableError
	if err := f.Cancel(t.Context(), id); !errors.As(err, &refused) || refused.State != task.StateCancelling {
		t.Errorf("cancel twice: got %v", err)
	}
	close(stopped)
	if got := f.await(id, task.StateCancelled); got.Result != "task cancelled" {
		t.Errorf("result: got %q", got.Result)
	}
	events := f.output(id, task.OutputEvent)
	for _, want := range []string{`"state":"failed","progress":100,"data":{"error":"Task 1 cancelled"}}`, `"error":{"code":10001,"message":"Task 1 cancelled"}}`} {
		if !strings.Contains(events, want) {
			t.Errorf("events: got\n%s\nwant %s", events, want)
		}
	}
	if err := f.Cancel(t.Context(), id); err == nil || err.Error() != "Cannot cancel task 1: invalid state (cancelled)" {
		t.Errorf("cancel an ended task: got %v", err)
	}
	if err := f.Cancel(t.Context(), 99); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("cancel an absent task: got %v", err)
	}
}

func TestATaskThatSucceedsDespiteItsCancelIsDone(t *testing.T) {
	f := newFixture(t, t.TempDir(), task.Config{})
	id := f.enqueue(task.Request{}, func(ctx context.Context, _ *task.Run) (string, error) {
		<-ctx.Done()
		return "too late", nil
	})
	f.await(id, task.StateProcessing)
	if err := f.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	f.await(id, task.StateDone)
}

func TestLocks(t *testing.T) {
	f := newFixture(t, t.TempDir(), task.Config{})
	release := make(chan struct{})
	holder := f.enqueue(task.Request{Description: "create deployment", User: "admin", Deployment: "demo"}, func(ctx context.Context, run *task.Run) (string, error) {
		if _, err := run.Lock(ctx, "deployment", "demo"); err != nil {
			return "", err
		}
		<-release
		panic("the lock is given back all the same")
	})
	f.poll("the lock", func() bool { return len(f.Locks()) > 0 })
	locks := f.Locks()
	if len(locks) != 1 || locks[0].Type != "deployment" || locks[0].Resource[0] != "demo" || locks[0].TaskID != holder || time.Until(locks[0].Expires) < time.Minute {
		t.Fatalf("locks: got %+v", locks)
	}
	lock := func(ctx context.Context, run *task.Run) (string, error) {
		_, err := run.Lock(ctx, "deployment", "demo")
		return "", err
	}
	loser := f.enqueue(task.Request{Description: "create deployment"}, lock)
	f.await(loser, task.StateError)
	want := regexp.MustCompile(`"error":\{"code":100,"message":"Failed to acquire lock for lock:deployment:demo uid: [0-9a-f-]{36}\. Locking task id is 1, description: 'create deployment'"\}\}`)
	if events := f.output(loser, task.OutputEvent); !want.MatchString(events) {
		t.Errorf("events: got %s", events)
	}
	close(release)
	f.await(holder, task.StateError)
	if locks := f.Locks(); len(locks) != 0 {
		t.Errorf("after the holder ended: got %+v", locks)
	}
	f.await(f.enqueue(task.Request{}, lock), task.StateDone)
	events, err := f.db.Events(t.Context(), db.EventFilter{Task: "1", Deployment: "demo", User: "admin", ObjectType: "lock", ObjectName: "lock:deployment:demo"})
	if err != nil || len(events) != 2 || events[0].Action != "release" || events[1].Action != "acquire" {
		t.Errorf("trail: got %+v, %v", events, err)
	}
}

func TestALockIsHandedToAWaiter(t *testing.T) {
	f := newFixture(t, t.TempDir(), task.Config{LockTimeout: 10 * time.Second})
	locked, release := make(chan struct{}), make(chan struct{})
	f.enqueue(task.Request{}, func(ctx context.Context, run *task.Run) (string, error) {
		unlock, err := run.Lock(ctx, "deployment", "demo")
		close(locked)
		<-release
		unlock()
		return "", err
	})
	<-locked
	waiter := f.enqueue(task.Request{}, func(ctx context.Context, run *task.Run) (string, error) {
		close(release)
		_, err := run.Lock(ctx, "deployment", "demo")
		return "", err
	})
	f.await(waiter, task.StateDone)
}

func TestSecretsAreMasked(t *testing.T) {
	secrets := []string{`pa"ss\word`, "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END KEY-----", "short-but-4", "abc"}
	f := newFixture(t, t.TempDir(), task.Config{})
	id := f.enqueue(task.Request{}, func(ctx context.Context, run *task.Run) (string, error) {
		run.Redact(secrets...)
		for _, s := range secrets {
			run.Log().Info("using", "value", s, "struct", struct{ S string }{s})
			run.CPILog().Info("using", "value", s)
			run.Stage(s, 1).Step(s).InProgress(1, s)
			run.Warn(s)
		}
		run.Log().Info("line", "value", "unable to parse MIIEvQIBADANBgkqhkiG9w0 !")
		_, _ = io.WriteString(run.Result(), secrets[0])
		_, err := run.Event(ctx, db.Event{Error: "failed with " + secrets[0]})
		return "", errors.Join(err, fmt.Errorf("cannot use %s and %s", secrets[0], secrets[1]))
	})
	row := f.await(id, task.StateError)
	if want := "cannot use <redacted> and <redacted>"; row.Result != want {
		t.Errorf("result: got %q, want %q", row.Result, want)
	}
	for _, kind := range []string{task.OutputEvent, task.OutputDebug, task.OutputCPI} {
		text := f.output(id, kind)
		if text == "" {
			t.Errorf("%s: nothing written", kind)
		}
		for _, leak := range []string{`pa"`, `pa\\`, "ss\\", "word", "MIIEvQ", "short-but"} {
			if i := strings.Index(text, leak); i >= 0 {
				t.Errorf("%s shows %q: …%s", kind, leak, text[max(0, i-40):min(len(text), i+40)])
			}
		}
	}
	if got := f.output(id, task.OutputResult); got != secrets[0] {
		t.Errorf("result output: got %q, want it unmasked", got)
	}
	events, err := f.db.Events(t.Context(), db.EventFilter{})
	if err != nil || len(events) != 1 || events[0].Error != "failed with <redacted>" {
		t.Errorf("trail: got %+v, %v", events, err)
	}
}
