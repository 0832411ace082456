package bosh

import (
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
)

// observed is what the director shows of one operation and its deployment.
type observed struct {
	own    []task // carry the operation's id, the oldest first
	others []task // unfinished, and hold the deployment
	exists bool   // the deployment; deletes only
	// unsettled: a submission for the deployment had no answer and may still
	// turn into a task.
	unsettled bool
	// reborn is the last deploy task that began after the operation's own
	// delete task was done; nil when there is none. Deletes only.
	reborn *task
}

// step is what an operation needs next.
type step string

const (
	report      step = "report"       // nothing: its state is known
	wait        step = "wait"         // others must end first
	cancelOther step = "cancel"       // end others
	submit      step = "submit"       // hand it to the director
	submitForce step = "submit force" // a delete that ignores errors
)

// decision is a step, and what callers are told meanwhile.
type decision struct {
	step   step
	state  deployer.State
	task   *task  // whose state and progress the operation's is; nil for none
	cancel []task // what to cancel
}

// lateLimit bounds how long after a delete an earlier deploy can still turn
// up. A deployment that began later was made anew and is not ours to delete.
const lateLimit = 2 * time.Minute

// decideDeploy: whatever carries the operation's id counts; nothing more is
// submitted once a task of it has had the deployment.
//
//	own unfinished           → report it
//	own ended, had the lock  → report it
//	others hold it, in doubt → wait
//	otherwise                → submit
func decideDeploy(o observed) decision {
	if t := working(o.own); t != nil {
		return reportTask(t)
	}
	if t := last(o.own, func(t task) bool { return !t.heldOff() }); t != nil {
		return reportTask(t)
	}
	if len(o.others) > 0 || o.unsettled {
		return decision{step: wait, state: deployer.Waiting}
	}
	return decision{step: submit, state: deployer.Waiting}
}

// decideDelete: others are cancelled and waited for, whatever they are; what
// came up again is deleted again; what cannot be deleted is deleted by force,
// once.
func decideDelete(o observed) decision {
	running := working(o.own)
	if cancel := toCancel(o.others); len(cancel) > 0 {
		d := decision{step: cancelOther, state: deployer.Waiting, cancel: cancel}
		if running != nil {
			d.state, d.task = stateOf(*running), running
		}
		return d
	}
	done := last(o.own, task.done)
	switch {
	case running != nil:
		return reportTask(running)
	case len(o.others) > 0 || o.unsettled:
		return decision{step: wait, state: deployer.Waiting}
	case !o.exists:
		return decision{step: report, state: deployer.Succeeded, task: last(o.own, func(t task) bool { return !t.heldOff() })}
	case done != nil && madeAnew(*done, o.reborn):
		return reportTask(done)
	}
	var failures []task // of the last attempt
	for _, t := range o.own {
		if !t.heldOff() && !t.done() && (done == nil || t.ID > done.ID) {
			failures = append(failures, t)
		}
	}
	switch len(failures) {
	case 0:
		return decision{step: submit, state: deployer.Waiting}
	case 1:
		return decision{step: submitForce, state: deployer.Waiting}
	}
	return reportTask(&failures[len(failures)-1])
}

func madeAnew(done task, reborn *task) bool {
	return reborn != nil && !reborn.StartedAt.IsZero() && reborn.StartedAt.Sub(done.EndedAt) > lateLimit
}

// toCancel lists the tasks that a delete need not wait out: all but deletes.
func toCancel(others []task) []task {
	var cancel []task
	for _, t := range others {
		if !t.isDelete() && t.cancellable() {
			cancel = append(cancel, t)
		}
	}
	return cancel
}

// working is the unfinished task that is furthest: the one a worker has,
// otherwise the oldest queued.
func working(tasks []task) *task {
	var found *task
	for i, t := range tasks {
		if t.unfinished() && (found == nil || found.State == "queued" && t.State != "queued") {
			found = &tasks[i]
		}
	}
	return found
}

// last is the newest task that fits.
func last(tasks []task, fits func(task) bool) *task {
	for i := len(tasks) - 1; i >= 0; i-- {
		if fits(tasks[i]) {
			return &tasks[i]
		}
	}
	return nil
}

func reportTask(t *task) decision {
	return decision{step: report, state: stateOf(*t), task: t}
}

func stateOf(t task) deployer.State {
	switch {
	case t.State == "queued":
		return deployer.Queued
	case t.unfinished():
		return deployer.Running
	case t.done():
		return deployer.Succeeded
	}
	return deployer.Failed
}
