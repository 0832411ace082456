package task

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
)

// Config is what a queue needs.
type Config struct {
	DB *db.DB
	// Dir holds a folder with the output of each task.
	Dir string
	// Workers run ordinary tasks, default 3. Urgent tasks have workers of
	// their own.
	Workers int
	// Keep is how many finished tasks are kept with their output, default
	// 2000.
	Keep int
	// LockTimeout is how long a task waits for a lock, default 10 s.
	LockTimeout time.Duration
	Log         *slog.Logger
	Now         func() time.Time
}

// Request is what Enqueue is asked for.
type Request struct {
	Type        string // "update_deployment", …
	Description string // "create deployment"
	Deployment  string
	ContextID   string
	User        string
	// Urgent tasks do not wait behind ordinary ones: short looks at the
	// state of things, and resurrection.
	Urgent bool
}

// Queue runs tasks.
type Queue struct {
	db    *db.DB
	log   *slog.Logger
	now   func() time.Time
	locks *locks
}

// Open prepares the queue and ends the tasks that an earlier process left
// unfinished. Nothing runs before Start.
func Open(ctx context.Context, c Config) (*Queue, error) { return nil, errors.ErrUnsupported }

// Start starts the workers.
func (q *Queue) Start() {}

// Enqueue stores a task and returns its number. The row is on the disk when
// Enqueue returns; f runs later. Faults: ErrClosed.
func (q *Queue) Enqueue(ctx context.Context, r Request, f Func) (int64, error) {
	return 0, errors.ErrUnsupported
}

// Cancel cancels a queued task at once and asks a processing one to stop.
// Faults: db.ErrNotFound, *NotCancellableError.
func (q *Queue) Cancel(ctx context.Context, id int64) error { return errors.ErrUnsupported }

// Locks lists the locks that are held now.
func (q *Queue) Locks() []Lock { return q.locks.list() }

// Output opens one of a task's outputs ("event", "debug", "result", "cpi").
// The caller closes it. Faults: os.ErrNotExist when nothing was written yet.
func (q *Queue) Output(id int64, kind string) (*os.File, error) { return nil, errors.ErrUnsupported }

// Close takes no more tasks, ends the queued ones in error, waits for the
// running ones until ctx is done and then cancels them, which ends them in
// error too.
func (q *Queue) Close(ctx context.Context) error { return errors.ErrUnsupported }
