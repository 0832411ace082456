package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/logging"
	"github.com/holdfast-osb/holdfast/store"
)

// run is one claimed operation in the hands of this process.
type run struct {
	w   *Worker
	id  string
	log *slog.Logger
	op  store.Operation
	in  store.Instance
	// task is the deployer's operation as last seen; it may be forgotten.
	task       deployer.Operation
	progressed time.Time // when mere progress was last written
	unsaved    bool      // op holds progress that is not written yet

	interrupt chan struct{}      // closed: stop between two steps
	abandon   context.CancelFunc // the lease is lost: stop at once
}

// errNotOurs: the operation ended, or another worker holds it.
var errNotOurs = errors.New("the operation is not ours any more")

// advanceSafely keeps a defect in one operation's work from ending the process
// and with it everyone else's.
func (r *run) advanceSafely(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return r.advance(ctx)
}

// advance does step after step until the operation has ended, the lease is
// lost, or the run is interrupted. ctx ends when the lease is lost or the
// process gives up waiting for the current step.
func (r *run) advance(ctx context.Context) error {
	if err := r.load(ctx); err != nil {
		return err
	}
	ctx = logging.With(ctx, slog.String("operation_id", r.op.ID), slog.String("instance_id", r.in.ID))
	r.log.Info("operation claimed", "state", r.op.State)
	for !r.op.State.Ended() {
		if r.interrupted() {
			return nil
		}
		seen := r.do(ctx)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped in state %s: %w", r.op.State, err)
		}
		now := r.w.cfg.Now()
		m := next(r.op, seen, now, r.w.cfg.Limits)
		r.logMove(seen, m)
		if write, in := r.apply(seen, m, now); write {
			if err := r.save(ctx, in); err != nil {
				if err = r.afterSaveError(ctx, err); err != nil {
					return err
				}
			}
		}
		r.pause(ctx, m.wait)
	}
	r.w.cfg.Ended(r.op)
	return nil
}

// load reads the instance that the claimed operation is about.
func (r *run) load(ctx context.Context) error {
	in, err := r.w.store.Instance(ctx, r.op.InstanceID)
	if err != nil {
		return fmt.Errorf("read instance %s: %w", r.op.InstanceID, err)
	}
	r.in, r.task = in, deployer.Operation{}
	return nil
}

// afterSaveError reads the rows again when they changed under us: the step is
// repeated on what they are now, or the run ends because the operation did or
// is another's.
func (r *run) afterSaveError(ctx context.Context, err error) error {
	if !errors.Is(err, store.ErrStale) && !fault.Is(err, fault.Unavailable) {
		return fmt.Errorf("save operation: %w", err)
	}
	current, readErr := r.w.store.Operation(ctx, r.op.ID)
	if readErr != nil {
		return fmt.Errorf("read operation again: %w", readErr)
	}
	if current.State.Ended() || current.LeaseOwner != r.w.owner {
		return fmt.Errorf("%w: %w", errNotOurs, err)
	}
	r.op = current
	return r.load(ctx)
}

func (r *run) interrupted() bool {
	select {
	case <-r.interrupt:
		return true
	default:
		return false
	}
}

func (r *run) pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.interrupt:
	case <-ctx.Done():
	}
}

func (r *run) logMove(seen observed, m move) {
	switch {
	case seen.err != nil && r.op.TroubleSince.IsZero() && m.to == r.op.State:
		r.log.Warn("step failed, repeating", "state", r.op.State, "error", seen.err.Error())
	case seen.err == nil && !r.op.TroubleSince.IsZero():
		r.log.Info("step works again", "state", r.op.State, "trouble", r.w.cfg.Now().Sub(r.op.TroubleSince).String())
	}
	if m.to == r.op.State {
		return
	}
	attrs := []any{"from", r.op.State, "to", m.to, "took", r.w.cfg.Now().Sub(r.op.StateSince).String()}
	if seen.task != nil {
		attrs = append(attrs, "task_id", seen.task.TaskID)
	}
	r.log.Info("operation advanced", attrs...)
}
