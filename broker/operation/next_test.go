package operation

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func states(kind store.Kind) []store.State {
	var all []store.State
	for s := range Transitions[kind] {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// anything draws what a step in this state may bring to light.
func anything(t *rapid.T, state store.State) observed {
	if rapid.Bool().Draw(t, "error") {
		kind := rapid.SampledFrom([]fault.Kind{fault.Invalid, fault.NotFound, fault.Conflict, fault.Forbidden, fault.Unavailable, fault.Internal, ""}).Draw(t, "kind")
		if kind == "" {
			return observed{err: errors.New("no fault")}
		}
		return observed{err: fault.New(kind, "because")}
	}
	switch state {
	case store.Preparing:
		return observed{prepared: &store.Prepared{Template: "t"}}
	case store.Deploying, store.Restoring, store.Deleting:
		task := deployer.Operation{State: rapid.SampledFrom([]deployer.State{deployer.Waiting, deployer.Queued, deployer.Running, deployer.Succeeded, deployer.Failed}).Draw(t, "task")}
		return observed{task: &task, configured: rapid.Bool().Draw(t, "configured")}
	case store.Cleaning:
		return observed{deployed: rapid.Bool().Draw(t, "deployed")}
	}
	return observed{}
}

// Whatever is seen: the move is in the table, the same arguments give the
// same move, and a state that is kept is not done again without a pause.
func TestNextKeepsToTheTable(t *testing.T) {
	seenMoves := map[string]bool{}
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]store.Kind{store.Create, store.Update, store.Delete}).Draw(t, "what")
		state := rapid.SampledFrom(states(kind)).Draw(t, "state")
		now := epoch.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "now")))
		op := store.Operation{Kind: kind, State: state, StateSince: epoch, Submission: rapid.IntRange(0, 3).Draw(t, "submission")}
		if rapid.Bool().Draw(t, "trouble") {
			op.TroubleSince = epoch
		}
		seen := anything(t, state)
		m := next(op, seen, now, DefaultLimits())
		if again := next(op, seen, now, DefaultLimits()); !reflect.DeepEqual(m, again) {
			t.Fatalf("not pure: %+v and %+v", m, again)
		}
		if m.to == state {
			if m.wait <= 0 {
				t.Fatalf("%s %s is repeated without a pause after %+v", kind, state, seen)
			}
			if m.wait > 10*time.Second {
				t.Fatalf("%s %s pauses for %s", kind, state, m.wait)
			}
			return
		}
		if !slices.Contains(Transitions[kind][state], m.to) {
			t.Fatalf("%s: %s → %s is not in the table, after %+v", kind, state, m.to, seen)
		}
		if m.to == store.Failed && (m.failure == nil || m.failure.why == "" || m.failure.cause == nil) {
			t.Fatalf("%s: %s fails without a reason: %+v", kind, state, m.failure)
		}
		if m.to == store.Succeeded && seen.err != nil {
			t.Fatalf("%s: %s succeeds after %v", kind, state, seen.err)
		}
		seenMoves[fmt.Sprintf("%s: %s → %s", kind, state, m.to)] = true
	})
	for kind, from := range Transitions {
		for state, targets := range from {
			for _, to := range targets {
				if move := fmt.Sprintf("%s: %s → %s", kind, state, to); !seenMoves[move] && !t.Failed() {
					t.Logf("not seen in this run: %s", move)
				}
			}
		}
	}
}

// No operation goes on for ever: under any weather that does not change, it
// ends after its limits.
func TestEveryOperationEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]store.Kind{store.Create, store.Update, store.Delete}).Draw(t, "what")
		op := store.Operation{Kind: kind, State: store.Queued, StateSince: epoch}
		weather := map[store.State]observed{}
		for _, s := range states(kind) {
			seen := anything(t, s)
			if seen.task != nil && (seen.task.State == deployer.Queued || seen.task.State == deployer.Running) {
				seen.task.State = deployer.Failed // a director's task ends by itself
			}
			if s == store.Restoring && seen.task != nil && seen.task.State == deployer.Succeeded {
				seen.configured = true
			}
			weather[s] = seen
		}
		now := epoch
		var path []store.State
		for !op.State.Ended() {
			if now.Sub(epoch) > 6*time.Hour {
				t.Fatalf("still %s after six hours by %v in the weather %+v", op.State, path, weather[op.State])
			}
			m := next(op, weather[op.State], now, DefaultLimits())
			now = now.Add(m.wait + time.Millisecond)
			op.TroubleSince = m.trouble
			if m.to != op.State || m.resubmit {
				path = append(path, m.to)
				op.State, op.StateSince, op.TroubleSince = m.to, now, time.Time{}
			}
			if m.resubmit {
				op.Submission++
			}
		}
	})
}

func TestNext(t *testing.T) {
	task := func(s deployer.State) *deployer.Operation { return &deployer.Operation{State: s, Error: "why"} }
	away := fault.New(fault.Unavailable, "away")
	limits := DefaultLimits()
	for name, c := range map[string]struct {
		kind  store.Kind
		state store.State
		seen  observed
		since time.Duration // of the state and of its trouble
		want  store.State
	}{
		"a create begins":                          {store.Create, store.Queued, observed{}, 0, store.Preparing},
		"a delete begins":                          {store.Delete, store.Queued, observed{}, 0, store.Unbinding},
		"the SPI is away for a moment":             {store.Create, store.Preparing, observed{err: away}, time.Second, store.Preparing},
		"the SPI is away for too long":             {store.Create, store.Preparing, observed{err: away}, limits.Preparing, store.Failed},
		"the SPI says no":                          {store.Create, store.Preparing, observed{err: fault.InvalidField("parameters.x", "no")}, 0, store.Failed},
		"the task runs":                            {store.Create, store.Deploying, observed{task: task(deployer.Running)}, 5 * time.Hour, store.Deploying},
		"the task is done":                         {store.Create, store.Deploying, observed{task: task(deployer.Succeeded)}, 0, store.Configuring},
		"the task failed":                          {store.Create, store.Deploying, observed{task: task(deployer.Failed)}, 0, store.Failed},
		"another task holds it":                    {store.Create, store.Deploying, observed{task: task(deployer.Waiting)}, time.Minute, store.Deploying},
		"another task holds it for too long":       {store.Create, store.Deploying, observed{task: task(deployer.Waiting)}, limits.Waiting + 1, store.Failed},
		"an update's task failed":                  {store.Update, store.Deploying, observed{task: task(deployer.Failed)}, 0, store.Restoring},
		"an update cannot be configured":           {store.Update, store.Configuring, observed{err: fault.New(fault.Internal, "x")}, 0, store.Restoring},
		"restoring meets trouble":                  {store.Update, store.Restoring, observed{err: fault.New(fault.Internal, "x")}, time.Second, store.Restoring},
		"restored":                                 {store.Update, store.Restoring, observed{task: task(deployer.Succeeded), configured: true}, 0, store.Failed},
		"bindings cannot be removed":               {store.Delete, store.Unbinding, observed{err: away}, limits.Unbinding, store.Deleting},
		"a delete meets a defect":                  {store.Delete, store.Cleaning, observed{err: errors.New("x")}, time.Second, store.Cleaning},
		"a delete's task failed, tries are left":   {store.Delete, store.Deleting, observed{task: task(deployer.Failed)}, 0, store.Deleting},
		"a deployment came back":                   {store.Delete, store.Cleaning, observed{deployed: true}, 0, store.Deleting},
		"a deleted instance":                       {store.Delete, store.Cleaning, observed{}, 0, store.Succeeded},
		"an ended operation is left as it is":      {store.Create, store.Succeeded, observed{}, 0, store.Succeeded},
		"a failed operation is left as it is, too": {store.Delete, store.Failed, observed{}, 0, store.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			op := store.Operation{Kind: c.kind, State: c.state, StateSince: epoch}
			if c.seen.err != nil {
				op.TroubleSince = epoch
			}
			if got := next(op, c.seen, epoch.Add(c.since), limits); got.to != c.want {
				t.Errorf("got %s, want %s", got.to, c.want)
			}
		})
	}
}

func TestPollInterval(t *testing.T) {
	for elapsed, want := range map[time.Duration]time.Duration{0: 100 * time.Millisecond, 5 * time.Second: 100 * time.Millisecond, 20 * time.Second: 400 * time.Millisecond, time.Hour: 5 * time.Second} {
		if got := pollInterval(elapsed); got != want {
			t.Errorf("after %s: got %s, want %s", elapsed, got, want)
		}
	}
}
