package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
)

const (
	defaultWorkers     = 3
	defaultKeep        = 500
	defaultLockTimeout = 10 * time.Second
	// urgentWorkers run urgent tasks only. There are several because one may
	// wait for an agent that does not answer.
	urgentWorkers = 4
	// stopPatience is how long Close waits for tasks it has cancelled.
	stopPatience = 10 * time.Second
	// pruneEvery is after how many tasks old ones are looked for.
	pruneEvery = 20
)

// Config is what a queue needs.
type Config struct {
	DB *db.DB
	// Dir holds a folder with the output of each task.
	Dir string
	// Workers run ordinary tasks, default 3. Urgent tasks have workers of
	// their own.
	Workers int
	// Keep is how many finished tasks of each type are kept with their
	// output, default 500.
	Keep int
	// LockTimeout is how long a task waits for a lock, default 10 s.
	LockTimeout time.Duration
	Log         *slog.Logger
	Now         func() time.Time // default time.Now
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
	db      *db.DB
	dir     string
	log     *slog.Logger
	now     func() time.Time
	locks   *locks
	workers int
	keep    int

	running sync.WaitGroup
	base    context.Context
	stop    context.CancelCauseFunc

	mu       sync.Mutex
	changed  *sync.Cond // pending or closing changed
	ordinary []*job     // pending, oldest first
	urgent   []*job
	live     map[int64]*job // pending and running
	ended    int
	closing  bool
}

// job is a task with its function.
type job struct {
	task   db.Task
	f      Func
	urgent bool
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// Open prepares the queue and ends the tasks that an earlier process left
// unfinished. Nothing runs before Start.
func Open(ctx context.Context, c Config) (*Queue, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of the tasks: %w", err)
	}
	q := &Queue{
		db: c.DB, dir: c.Dir, log: c.Log, now: c.Now, workers: c.Workers, keep: c.Keep,
		locks: &locks{timeout: c.LockTimeout, held: map[string]*heldLock{}},
		live:  map[int64]*job{},
	}
	if q.now == nil {
		q.now = time.Now
	}
	if q.workers == 0 {
		q.workers = defaultWorkers
	}
	if q.keep == 0 {
		q.keep = defaultKeep
	}
	if q.locks.timeout == 0 {
		q.locks.timeout = defaultLockTimeout
	}
	q.changed = sync.NewCond(&q.mu)
	q.base, q.stop = context.WithCancelCause(context.Background())
	return q, q.recover(ctx)
}

// recover ends what an earlier process left behind.
func (q *Queue) recover(ctx context.Context) error {
	left, err := q.db.Tasks(ctx, db.TaskFilter{States: []string{StateQueued, StateProcessing, StateCancelling}})
	if err != nil {
		return fmt.Errorf("find the tasks of an earlier process: %w", err)
	}
	for _, t := range left {
		e := Errorf(CodeUnknown, "The director was stopped while task %d was %s. Repeat the request", t.ID, t.State)
		if err := q.appendError(t.ID, e); err != nil {
			return err
		}
		from := t.State
		t.State, t.Result, t.FinishedAt = StateError, truncate(e.Message), q.now()
		if _, err := q.db.UpdateTask(ctx, t, from); err != nil {
			return fmt.Errorf("end task %d of an earlier process: %w", t.ID, err)
		}
		q.log.Warn("ended a task of an earlier process", "task_id", t.ID, "description", t.Description, "state", from)
	}
	return nil
}

// Start starts the workers.
func (q *Queue) Start() {
	for range q.workers {
		q.running.Go(func() { q.work(false) })
	}
	for range urgentWorkers {
		q.running.Go(func() { q.work(true) })
	}
}

// Enqueue stores a task and returns its number. The row is on the disk when
// Enqueue returns; f runs later. Faults: ErrClosed.
func (q *Queue) Enqueue(ctx context.Context, r Request, f Func) (int64, error) {
	// Once begun it is seen through: a caller that went away must not leave
	// a row that nobody runs.
	ctx = context.WithoutCancel(ctx)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closing {
		return 0, ErrClosed
	}
	t := db.Task{
		State: StateQueued, Type: r.Type, Description: r.Description, Deployment: r.Deployment,
		ContextID: r.ContextID, User: r.User,
	}
	id, err := q.db.AddTask(ctx, t)
	if err != nil {
		return 0, err
	}
	t.ID = id
	j := &job{task: t, f: f, urgent: r.Urgent}
	j.ctx, j.cancel = context.WithCancelCause(q.base)
	q.live[id] = j
	if r.Urgent {
		q.urgent = append(q.urgent, j)
	} else {
		q.ordinary = append(q.ordinary, j)
	}
	q.changed.Broadcast()
	return id, nil
}

// Cancel cancels a queued task at once and asks a processing one to stop.
// Faults: db.ErrNotFound, *NotCancellableError.
func (q *Queue) Cancel(ctx context.Context, id int64) error {
	ctx = context.WithoutCancel(ctx)
	cancelled := Errorf(CodeTaskCancelled, "Task %d cancelled", id)
	q.mu.Lock()
	defer q.mu.Unlock()
	if j, ok := q.live[id]; ok {
		if q.takePending(j) {
			delete(q.live, id)
			return q.endUnstarted(ctx, j, StateCancelled, cancelled)
		}
		t := j.task
		t.State = StateCancelling
		ok, err := q.db.UpdateTask(ctx, t, StateProcessing)
		if err != nil {
			return err
		}
		if ok {
			j.cancel(cancelled)
			return nil
		}
	}
	t, err := q.db.Task(ctx, id)
	if err != nil {
		return err
	}
	return &NotCancellableError{ID: id, State: t.State}
}

// takePending removes j from what waits, and says whether it was there.
func (q *Queue) takePending(j *job) bool {
	for _, pending := range []*[]*job{&q.ordinary, &q.urgent} {
		if i := slices.Index(*pending, j); i >= 0 {
			*pending = slices.Delete(*pending, i, i+1)
			return true
		}
	}
	return false
}

// endUnstarted ends a task that never ran.
func (q *Queue) endUnstarted(ctx context.Context, j *job, state string, e *Error) error {
	j.cancel(e)
	t := j.task
	t.State, t.FinishedAt, t.Result = state, q.now(), truncate(e.Message)
	if state == StateCancelled {
		t.Result = resultCancelled
	}
	err := q.appendError(t.ID, e)
	_, err2 := q.db.UpdateTask(ctx, t, StateQueued)
	return errors.Join(err, err2)
}

// Locks lists the locks that are held now.
func (q *Queue) Locks() []Lock { return q.locks.list(q.now()) }

// Close takes no more tasks, ends the queued ones in error, waits for the
// running ones until ctx is done and then stops them, which ends them in
// error too. It fails when they do not stop.
func (q *Queue) Close(ctx context.Context) error {
	e := Errorf(CodeUnknown, "The director was stopped. Repeat the request")
	q.mu.Lock()
	q.closing = true
	pending := append(q.ordinary, q.urgent...)
	q.ordinary, q.urgent = nil, nil
	var err error
	for _, j := range pending {
		delete(q.live, j.task.ID)
		err = errors.Join(err, q.endUnstarted(context.WithoutCancel(ctx), j, StateError, e))
	}
	q.changed.Broadcast()
	q.mu.Unlock()

	idle := make(chan struct{})
	go func() { q.running.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-ctx.Done():
		q.stop(e)
		select {
		case <-idle:
		case <-time.After(stopPatience):
			err = errors.Join(err, errors.New("tasks did not stop within "+stopPatience.String()))
		}
	}
	q.stop(e)
	return err
}
