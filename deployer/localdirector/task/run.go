package task

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
)

// Func is what a task does. The context ends when the task is cancelled or
// the director shuts down; return soon after, with the context's error. The
// string is the task's short result ("/deployments/demo").
type Func func(ctx context.Context, run *Run) (result string, err error)

// Run is a task while it runs: what its function writes to and asks of the
// queue. Its methods may be called concurrently.
type Run struct {
	task     db.Task
	ctx      context.Context
	queue    *Queue
	redactor *redactor
	out      *outputs
	log      *slog.Logger
	cpiLog   *slog.Logger

	mu    sync.Mutex // guards the fields below and the order of events
	steps map[*Stage]int
	ends  []func()
}

func newRun(ctx context.Context, q *Queue, t db.Task, out *outputs) *Run {
	r := &Run{task: t, ctx: ctx, queue: q, redactor: newRedactor(), out: out, steps: map[*Stage]int{}}
	debug := &slog.HandlerOptions{Level: slog.LevelDebug}
	r.log = slog.New(slog.NewTextHandler(maskedWriter{r.redactor, out.debug}, debug))
	r.cpiLog = slog.New(slog.NewTextHandler(maskedWriter{r.redactor, out.cpi}, debug))
	return r
}

// ID is the task's number.
func (r *Run) ID() int64 { return r.task.ID }

// User is who asked for the task.
func (r *Run) User() string { return r.task.User }

// Deployment is the deployment the task was asked for; it may be empty.
func (r *Run) Deployment() string { return r.task.Deployment }

// Log writes to the task's debug output.
func (r *Run) Log() *slog.Logger { return r.log }

// CPILog writes to the task's cpi output: what was done to VMs, disks and
// networks.
func (r *Run) CPILog() *slog.Logger { return r.cpiLog }

// Result is the task's result output: lines that a client parses
// (`bosh instances`, `bosh run-errand`). It is not masked.
func (r *Run) Result() io.Writer { return r.out.result }

// Redact masks these values in the task's event, debug and cpi output and in
// its error from now on. Values of fewer than 4 bytes cannot be told from
// ordinary text and are left alone.
func (r *Run) Redact(secrets ...string) { r.redactor.add(secrets...) }

// Warn shows a warning to the user who follows the task.
func (r *Run) Warn(message string) {
	r.writeEvent(map[string]any{"time": r.now().Unix(), "type": "warning", "message": message})
}

// Event adds to the director's trail of events, with this task's number,
// user and deployment where e leaves them out, and returns its number: the
// ParentID of the event that ends the action.
func (r *Run) Event(ctx context.Context, e db.Event) (int64, error) {
	e.Time = r.now()
	e.Error = r.redactor.mask(e.Error)
	if e.User == "" {
		e.User = r.task.User
	}
	if e.Task == "" {
		e.Task = strconv.FormatInt(r.task.ID, 10)
	}
	if e.Deployment == "" {
		e.Deployment = r.task.Deployment
	}
	return r.queue.db.AddEvent(ctx, e)
}

// Lock takes a lock, for a deployment: Lock(ctx, "deployment", name). When
// another task holds it, it waits up to the queue's LockTimeout and then
// fails with code 100, naming that task. unlock gives it back; the end of the
// task does in any case.
func (r *Run) Lock(ctx context.Context, kind string, resource ...string) (unlock func(), err error) {
	return r.queue.locks.acquire(ctx, r, kind, resource)
}

func (r *Run) now() time.Time { return r.queue.now() }

// onEnd has f called when the task's function has returned.
func (r *Run) onEnd(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends = append(r.ends, f)
}

func (r *Run) end() {
	r.mu.Lock()
	ends := r.ends
	r.mu.Unlock()
	for _, f := range ends {
		f()
	}
}

// describe turns what a task's function returned into what the API shows. An
// error after the task was told to stop reads as the reason for stopping.
func (r *Run) describe(err error) *Error {
	if cause := context.Cause(r.ctx); cause != nil && (errors.Is(err, context.Canceled) || errors.Is(err, cause)) {
		err = cause
	}
	return &Error{Code: CodeOf(err), Message: r.redactor.mask(err.Error())}
}

// writeEvent appends a line to the event output.
func (r *Run) writeEvent(line any) {
	text, err := encodeJSON(line)
	if err == nil {
		_, err = io.WriteString(r.out.event, r.redactor.mask(text)+"\n")
	}
	if err != nil {
		r.log.Error("write an event", "error", err)
	}
}

// errorLine is the last line of the event output of a task that failed.
func errorLine(at time.Time, e *Error) (string, error) {
	type failure struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	text, err := encodeJSON(struct {
		Time  int64   `json:"time"`
		Error failure `json:"error"`
	}{at.Unix(), failure{e.Code, e.Message}})
	return text + "\n", err
}

// encodeJSON renders v on one line, without the escapes for HTML that the
// director does not make either.
func encodeJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}
