package operation

import (
	"context"
	"time"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

// saveProgressEvery bounds how often mere progress is written: every write is
// an fsync, and people read no faster.
const saveProgressEvery = time.Second

// apply writes what was seen and decided into the rows in memory. It tells
// whether the operation's row must be written, and returns the instance's
// when that must be written with it.
func (r *run) apply(seen observed, m move, now time.Time) (write bool, in *store.Instance) {
	entering := m.to != r.op.State || m.resubmit
	if m.failure != nil {
		r.fail(m, now)
	}
	if entering {
		in = r.enter(seen, m.to)
		r.op.State, r.op.StateSince, r.op.TroubleSince = m.to, now, time.Time{}
		r.op.Done, r.op.Total = 0, 0
		r.progressed = time.Time{} // the first progress of a state shows at once
		if m.resubmit {
			r.op.Submission++
		}
		if m.to != store.Failed {
			r.op.Message = stateMessages[m.to]
		}
		return true, in
	}
	write = m.trouble != r.op.TroubleSince
	r.op.TroubleSince = m.trouble
	if m.progress == nil {
		return write, nil
	}
	message := progressMessage(m.to, m.progress)
	if message != r.op.Message || m.progress.Done != r.op.Done || m.progress.Total != r.op.Total {
		r.op.Message, r.op.Done, r.op.Total = message, m.progress.Done, m.progress.Total
		r.unsaved = true
	}
	if r.unsaved && now.Sub(r.progressed) >= saveProgressEvery {
		write, r.progressed = true, now
	}
	return write, nil
}

// enter says what entering a state changes in the instance's row; nil:
// nothing. It goes into the same transaction as the operation's.
func (r *run) enter(seen observed, to store.State) *store.Instance {
	in := r.in
	switch {
	case r.op.State == store.Preparing && to == store.Deploying:
		r.op.Private.Prepared = seen.prepared
		if r.op.Kind == store.Create {
			in.Private.Prepared = *seen.prepared
		} else {
			// Secrets outlive a failed update: its repetition finds them kept.
			in.Private.Prepared.Secrets = merged(in.Private.Prepared.Secrets, seen.prepared.Secrets)
		}
	case to == store.Configuring:
		in.Nodes = seen.nodes
	case to == store.Succeeded && r.op.Kind == store.Delete:
		in.State = store.Gone
	case to == store.Succeeded:
		want := target(r.op, in)
		in.State, in.PlanID, in.Maintenance = store.Ready, r.op.PlanID, r.op.Maintenance
		in.Private = store.InstancePrivate{Parameters: want.Parameters, Context: want.Context, Prepared: *r.op.Private.Prepared}
	case to == store.Failed && r.op.Kind != store.Update, to == store.Deleting:
		if in.State == store.Broken {
			return nil
		}
		in.State = store.Broken
	case to == store.Failed && r.op.State == store.Restoring && seen.nodes != nil:
		in.Nodes = seen.nodes
	default:
		return nil
	}
	return &in
}

// fail notes a failure under a reference: the user gets a sentence, the log
// the cause.
func (r *run) fail(m move, now time.Time) {
	f := m.failure
	if m.to == store.Failed {
		if r.op.Reference == "" {
			r.op.Reference = fault.NewReference()
		}
		r.op.Message = failureMessage(r.op, f, r.op.Reference)
		r.op.Usable, r.op.Repeatable = f.usable, f.repeatable
		r.log.Error("operation failed", "state", r.op.State, "reference", r.op.Reference, "error", f.cause.Error(), "usable", f.usable, "took", now.Sub(r.op.CreatedAt).String())
		return
	}
	if m.to == store.Restoring {
		r.op.Reference = fault.NewReference()
	}
	r.log.Error("step failed, going on", "state", r.op.State, "next", m.to, "reference", r.op.Reference, "error", f.cause.Error())
}

// save writes the rows.
func (r *run) save(ctx context.Context, in *store.Instance) error {
	if err := r.w.store.SaveOperation(ctx, &r.op, in); err != nil {
		return err
	}
	if in != nil {
		r.in = *in
	}
	r.unsaved = false
	return nil
}
