package operation

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/spi"
	"github.com/holdfast-osb/holdfast/store"
)

// Config is how a worker works. Every member must be set.
type Config struct {
	Owner       string        // unique among all workers on the store, also over restarts
	Lease       time.Duration // how long an operation stays ours without a sign of life
	Idle        time.Duration // how often to look for operations of other processes
	CallTimeout time.Duration // of one step's calls
	Grace       time.Duration // how long a stop waits for current steps
	Parallel    int           // operations at once
	Limits      Limits
	Now         func() time.Time
	// Ended is told of every operation that this worker brought to its end.
	Ended func(store.Operation)
}

// Worker advances operations. Several workers may share a store.
type Worker struct {
	cfg      Config
	owner    string
	store    store.Store
	services map[string]spi.Service
	deployer deployer.Service
	log      *slog.Logger
	wake     chan struct{}

	mu      sync.Mutex
	running map[string]*run
}

// New makes a worker; Run starts it.
func New(cfg Config, s store.Store, services map[string]spi.Service, d deployer.Service, log *slog.Logger) *Worker {
	return &Worker{cfg: cfg, owner: cfg.Owner, store: s, services: services, deployer: d, log: log,
		wake: make(chan struct{}, 1), running: map[string]*run{}}
}

// Wake makes the worker look for operations at once.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Interrupt makes this process let go of an operation after its current step.
// It is a hint that saves time: the store's compare-and-swap decides.
func (w *Worker) Interrupt(operationID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r, ok := w.running[operationID]; ok {
		r.stop()
	}
}

func (r *run) stop() {
	select {
	case <-r.interrupt:
	default:
		close(r.interrupt)
	}
}

// Run works until ctx ends; then it finishes the current steps, for at most
// Config.Grace, and gives its leases back.
func (w *Worker) Run(ctx context.Context) {
	steps, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	leases := make(chan struct{})
	go func() {
		defer close(leases)
		w.keepLeases(steps)
	}()
	var runs sync.WaitGroup
	w.claimUntil(ctx, steps, &runs)

	w.mu.Lock()
	for _, r := range w.running {
		r.stop()
	}
	w.mu.Unlock()
	grace := time.AfterFunc(w.cfg.Grace, abandon)
	defer grace.Stop()
	runs.Wait()
	abandon()
	<-leases
}

// claimUntil starts runs until ctx ends.
func (w *Worker) claimUntil(ctx, steps context.Context, runs *sync.WaitGroup) {
	idle := time.NewTicker(w.cfg.Idle)
	defer idle.Stop()
	for {
		for w.claim(ctx, steps, runs) {
		}
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-idle.C:
		}
	}
}

// claim takes one operation; it tells whether there may be more.
func (w *Worker) claim(ctx, steps context.Context, runs *sync.WaitGroup) bool {
	w.mu.Lock()
	full := len(w.running) >= w.cfg.Parallel
	w.mu.Unlock()
	if full || ctx.Err() != nil {
		return false
	}
	op, err := w.store.Claim(ctx, w.owner, w.cfg.Lease)
	if err != nil {
		if !fault.Is(err, fault.NotFound) && ctx.Err() == nil {
			w.log.Error("claiming an operation failed", "error", err.Error())
		}
		return false
	}
	runCtx, abandon := context.WithCancel(steps)
	r := &run{w: w, id: op.ID, op: op, interrupt: make(chan struct{}), abandon: abandon,
		log: w.log.With("operation_id", op.ID, "instance_id", op.InstanceID, "kind", op.Kind)}
	w.mu.Lock()
	_, mine := w.running[op.ID]
	if !mine {
		w.running[op.ID] = r
	}
	w.mu.Unlock()
	if mine {
		// Our own lease had run out while the run goes on: it is renewed.
		abandon()
		return true
	}
	runs.Go(func() { w.finish(runCtx, r) })
	return true
}

// finish advances a run. What was interrupted is given back at once; after an
// error the lease is left to run out, so that a row that cannot be worked on
// is not tried again and again without a pause.
func (w *Worker) finish(ctx context.Context, r *run) {
	err := r.advanceSafely(ctx)
	r.abandon()
	w.mu.Lock()
	delete(w.running, r.id)
	w.mu.Unlock()
	switch {
	case errors.Is(err, errNotOurs) || (err != nil && ctx.Err() != nil):
		r.log.Info("letting go of the operation", "state", r.op.State, "why", err.Error())
	case err != nil:
		r.log.Error("working on the operation failed", "state", r.op.State, "error", err.Error())
	}
	if err == nil || errors.Is(err, errNotOurs) {
		w.release(context.WithoutCancel(ctx), r)
	}
	w.Wake()
}

func (w *Worker) release(ctx context.Context, r *run) {
	if r.op.State.Ended() {
		return // its last save gave the lease up
	}
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Lease)
	defer cancel()
	if err := w.store.Release(ctx, r.id, w.owner); err != nil {
		r.log.Warn("giving back the lease failed: it runs out by itself", "error", err.Error())
	}
}

// keepLeases extends the leases while there are any, and abandons the runs
// whose lease is lost, or all when the store has not answered for so long that
// another worker may have them.
func (w *Worker) keepLeases(ctx context.Context) {
	beat := time.NewTicker(w.cfg.Lease / 4)
	defer beat.Stop()
	good := w.cfg.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		before := w.held()
		if len(before) == 0 {
			good = w.cfg.Now()
			continue
		}
		asked := w.cfg.Now()
		call, cancel := context.WithTimeout(ctx, w.cfg.Lease/4)
		held, superseded, err := w.store.Extend(call, w.owner, ids(before), w.cfg.Lease)
		cancel()
		if err == nil {
			good = asked
			for _, id := range superseded {
				w.Interrupt(id)
			}
			w.abandonExcept(before, append(held, superseded...))
			continue
		}
		if errors.Is(err, context.Canceled) {
			return
		}
		w.log.Warn("extending leases failed", "error", err.Error())
		if w.cfg.Now().Sub(good) >= w.cfg.Lease*3/4 {
			w.abandonExcept(before, nil)
		}
	}
}

func (w *Worker) held() []*run {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*run, 0, len(w.running))
	for _, r := range w.running {
		all = append(all, r)
	}
	return all
}

func ids(runs []*run) []string {
	all := make([]string, len(runs))
	for i, r := range runs {
		all[i] = r.id
	}
	return all
}

func (w *Worker) abandonExcept(runs []*run, held []string) {
	still := make(map[string]bool, len(held))
	for _, id := range held {
		still[id] = true
	}
	for _, r := range runs {
		if !still[r.id] {
			r.abandon()
		}
	}
}
