package operation

import (
	"errors"
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

// observed is what doing a state's step brought to light.
type observed struct {
	err      error               // of the step's calls
	prepared *store.Prepared     // Preparing
	task     *deployer.Operation // Deploying, Restoring, Deleting
	nodes    []store.Node        // once task succeeded, of Deploying and Restoring
	// configured: the service answered after the deployment was restored.
	configured bool
	// deployed: Cleaning found the deployment again, made by a late task.
	deployed bool
}

// move is what follows: the state to go to (or to stay in), and how long to
// wait before that state's step is done.
type move struct {
	to      store.State
	wait    time.Duration
	trouble time.Time // since when the step fails, zero: it does not
	// progress of the deployer's task, nil when there is none
	progress *deployer.Progress
	failure  *failure // why an operation fails, is restored, or goes on without a step
	resubmit bool     // hand the step to the deployer under a new id
}

// failure is why something did not work.
type failure struct {
	why        string // for the platform's user: completes "…: why"
	cause      error  // for the log
	usable     bool   // the instance is as it was before
	repeatable bool   // the same request may succeed later
}

// Transitions are the states that an operation of each kind may go to. They
// are the whole truth: a move that is not here is a defect.
var Transitions = map[store.Kind]map[store.State][]store.State{
	store.Create: {
		store.Queued:      {store.Preparing},
		store.Preparing:   {store.Deploying, store.Failed},
		store.Deploying:   {store.Configuring, store.Failed},
		store.Configuring: {store.Succeeded, store.Failed},
	},
	store.Update: {
		store.Queued:      {store.Preparing},
		store.Preparing:   {store.Deploying, store.Failed},
		store.Deploying:   {store.Configuring, store.Restoring},
		store.Configuring: {store.Succeeded, store.Restoring},
		store.Restoring:   {store.Failed},
	},
	store.Delete: {
		store.Queued:    {store.Unbinding},
		store.Unbinding: {store.Deleting},
		store.Deleting:  {store.Cleaning, store.Failed},
		store.Cleaning:  {store.Succeeded, store.Deleting, store.Failed},
	},
}

// next decides. It is pure: the same arguments give the same move.
func next(op store.Operation, seen observed, now time.Time, limits Limits) move {
	if op.State == store.Queued { // nothing is done in it, so nothing is seen
		if op.Kind == store.Delete {
			return move{to: store.Unbinding}
		}
		return move{to: store.Preparing}
	}
	if seen.err != nil && !op.State.Ended() {
		return afterError(op, seen.err, now, limits)
	}
	switch op.State {
	case store.Preparing:
		return move{to: store.Deploying}
	case store.Deploying, store.Restoring, store.Deleting:
		return afterTask(op, seen, now, limits)
	case store.Configuring:
		return move{to: store.Succeeded}
	case store.Unbinding:
		return move{to: store.Deleting}
	case store.Cleaning:
		if seen.deployed {
			return deleteAgain(op, errors.New("the deployment exists again after its deletion"), limits)
		}
		return move{to: store.Succeeded}
	default: // ended: there is nothing to do
		return move{to: op.State}
	}
}

// afterError repeats the step with growing pauses while that makes sense, and
// gives up after the state's limit.
func afterError(op store.Operation, err error, now time.Time, limits Limits) move {
	since := op.TroubleSince
	if since.IsZero() {
		since = now
	}
	if repeatable(op, err) && now.Sub(since) < limits.of(op.State) {
		return move{to: op.State, trouble: since, wait: backoff(now.Sub(since))}
	}
	f := fault.From(err)
	why := f.User
	if f.Field != "" {
		why = f.Field + ": " + why
	}
	return giveUp(op, &failure{why: why, cause: err, repeatable: f.Kind == fault.Unavailable || f.Kind == fault.Internal})
}

// repeatable tells whether the step's next try may end otherwise. A deletion
// has no input that could be wrong, so it always tries on.
func repeatable(op store.Operation, err error) bool {
	return op.Kind == store.Delete || op.State == store.Restoring || fault.Is(err, fault.Unavailable)
}

func backoff(trouble time.Duration) time.Duration {
	return min(max(trouble/4, 200*time.Millisecond), 10*time.Second)
}

// giveUp is where a step that does not work leads.
func giveUp(op store.Operation, f *failure) move {
	switch {
	case op.State == store.Unbinding:
		return move{to: store.Deleting, failure: f}
	case op.Kind != store.Update:
		return move{to: store.Failed, failure: f}
	case op.State == store.Preparing:
		f.usable = true
		return move{to: store.Failed, failure: f}
	case op.State == store.Restoring:
		f.repeatable = true
		return move{to: store.Failed, failure: f}
	default:
		return move{to: store.Restoring, failure: f}
	}
}

// afterTask follows the director's task of a deploy or a delete.
func afterTask(op store.Operation, seen observed, now time.Time, limits Limits) move {
	stay := move{to: op.State, wait: pollInterval(now.Sub(op.StateSince)), progress: &seen.task.Progress}
	switch seen.task.State {
	case deployer.Waiting:
		if now.Sub(op.StateSince) > limits.Waiting {
			return giveUp(op, &failure{why: "another task held its deployment for too long", cause: errors.New("the deployment stayed locked"), repeatable: true})
		}
		stay.progress = &deployer.Progress{Stage: "Waiting for another task on this deployment"}
		return stay
	case deployer.Queued, deployer.Running:
		return stay
	case deployer.Failed:
		cause := errors.New("director task failed: " + seen.task.Error)
		if op.State == store.Deleting {
			return deleteAgain(op, cause, limits)
		}
		return giveUp(op, &failure{why: "its deployment failed", cause: cause, repeatable: true})
	}
	switch op.State {
	case store.Deploying:
		return move{to: store.Configuring}
	case store.Deleting:
		return move{to: store.Cleaning}
	default: // Restoring
		if !seen.configured {
			return stay
		}
		return move{to: store.Failed, failure: &failure{why: "the instance was brought back to what it was", cause: errors.New("restored after a failed update"), usable: true, repeatable: true}}
	}
}

// deleteAgain submits a deletion anew, a limited number of times.
func deleteAgain(op store.Operation, cause error, limits Limits) move {
	f := &failure{why: "its deployment could not be deleted", cause: cause, repeatable: true}
	if op.Submission+1 >= limits.Submissions {
		return move{to: store.Failed, failure: f}
	}
	return move{to: store.Deleting, failure: f, resubmit: true, wait: time.Duration(op.Submission+1) * time.Second}
}

// pollInterval is short while an end may be near and grows with the time that
// the task has taken: the user waits at most 2 % longer than the director.
func pollInterval(elapsed time.Duration) time.Duration {
	return min(max(elapsed/50, 100*time.Millisecond), 5*time.Second)
}
