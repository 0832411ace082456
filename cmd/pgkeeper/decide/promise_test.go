package decide_test

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// promises answers the latest AskPromises for a node.
func promises(s *scene, node decide.Node, outcome decide.Outcome) {
	s.seen.Running = s.seen.Running.Without(decide.KindAskPromise)
	s.seen.Results = append(s.seen.Results, decide.Result{
		Action: s.latest(decide.KindAskPromise), Node: node, Outcome: outcome, Started: s.seen.Now, Last: true,
	})
}

// TestPromisesCarryThePrimary while Consul is away, if every member has given one.
func TestPromisesCarryThePrimary(t *testing.T) {
	for name, tc := range map[string]struct {
		answers map[decide.Node]decide.Outcome
		until   time.Duration // they are given for so long
		fenced  time.Duration // after the last renewal; 0: not within a minute
	}{
		"nobody answers":                   {nil, 0, 5 * second},
		"one member of two does":           {map[decide.Node]decide.Outcome{"node-1": decide.OK}, 60 * second, 5 * second},
		"one of two refuses":               {map[decide.Node]decide.Outcome{"node-1": decide.OK, "node-2": decide.Refused}, 60 * second, 5 * second},
		"every member does":                {map[decide.Node]decide.Outcome{"node-1": decide.OK, "node-2": decide.OK}, 70 * second, 0},
		"every member does, and then none": {map[decide.Node]decide.Outcome{"node-1": decide.OK, "node-2": decide.OK}, 20 * second, 25 * second},
	} {
		t.Run(name, func(t *testing.T) {
			s := as("node-0", decide.Quorum).steady()
			s.consul = false
			lost := s.seen.Now.Add(-s.cfg.Tick) // when the last renewal began
			for s.seen.Now < lost.Add(60*second) {
				asked := s.decide()
				if has(asked, decide.KindFence) {
					break
				}
				if has(asked, decide.KindAskPromise) && s.seen.Now <= lost.Add(tc.until) {
					for node, outcome := range tc.answers {
						promises(s, node, outcome)
					}
				}
				s.leap(s.cfg.Tick)
			}
			got := s.seen.Now.Sub(lost)
			if want := tc.fenced; want == 0 && got < 60*second || want != 0 && (got < want-second || got > want+s.cfg.Tick) {
				t.Errorf("fenced %s after the last renewal, want %s (0: never)", got, want)
			}
		})
	}
}

// TestWhosePromisesCount: those count that were made to this holder in this
// epoch, by all who may challenge.
func TestWhosePromisesCount(t *testing.T) {
	t.Run("a member whose admission is in doubt must promise too", func(t *testing.T) {
		s := as("node-0", decide.Quorum)
		view := s.view()
		view.Members.Value = view.Members.Value[:2]
		s.steady()
		view = s.view()
		view.Members.Value = view.Members.Value[:2]
		s.peer("node-2").Streaming = true
		s.held = true
		s.decide()
		s.consul = false
		s.end(decide.KindWrite, decide.Unknown)
		got := s.pass(3 * second)
		if want := "ask [node-1 node-2] for promises"; !containsLine(told(got), want) {
			t.Errorf("actions: got %q, want %q among them", told(got), want)
		}
	})
	t.Run("those of an earlier epoch do not", func(t *testing.T) {
		s := as("node-0", decide.Quorum).steady()
		s.consul = false
		s.pass(2 * second)
		old := s.latest(decide.KindAskPromise).(decide.AskPromises)
		old.Epoch = 2
		for _, node := range old.Nodes {
			s.seen.Results = append(s.seen.Results, decide.Result{Action: old, Node: node, Started: s.seen.Now})
		}
		if got := s.pass(4 * second); !has(got, decide.KindFence) {
			t.Errorf("not fenced: got %q", told(got))
		}
	})
}

func TestGivingAPromise(t *testing.T) {
	asks := func(holder decide.Node, epoch uint64, more ...func(*scene)) func(*scene) {
		return func(s *scene) {
			for _, change := range more {
				change(s)
			}
			s.ask(decide.Request{Ask: decide.AskPromise, From: holder, Holder: id(holder), Epoch: epoch})
		}
	}
	check(t, []rule{
		{name: "to the holder", node: "node-1", given: asks("node-0", 3), want: []string{"grant"}},
		{name: "to a holder that this node has not heard of", node: "node-1", given: asks("node-2", 4), want: []string{"grant"}},
		{name: "not to an earlier one", node: "node-1", given: asks("node-0", 2), want: []string{"refuse: the lease has passed on"}},
		{name: "not to another of the same epoch", node: "node-1", given: asks("node-2", 3), want: []string{"refuse: another holds the lease of this epoch"}},
		{name: "not once the lease was released", node: "node-1", given: asks("node-0", 3, released("node-2", true)), want: []string{"refuse: the lease was released"}},
		{name: "not by the holder", node: "node-0", given: asks("node-1", 4), want: []string{"refuse: this node holds the lease"}},
		{name: "not while a takeover of this node may be under way", node: "node-1", given: asks("node-0", 3, func(s *scene) {
			s.consul = false
			s.view().AnsweredAt = 0
			s.seen.Local.Guard.Deadline = s.seen.Now.Add(second)
		}), fresh: true, want: []string{"refuse: a takeover of this node may be under way"}},
		{name: "not after this node was detached for a later one", node: "node-1", given: func(s *scene) {
			s.ask(decide.Request{Ask: decide.AskDetach, From: "node-2", Holder: id("node-2"), Epoch: 4})
			asks("node-0", 3)(s)
		}, want: []string{"grant", "refuse: the lease has passed on", "Detach"}},
	})
}

// TestAPromiseIsKept for a lease, though the lease in Consul stands still for longer.
func TestAPromiseIsKept(t *testing.T) {
	s := as("node-1", decide.Quorum).steady()
	play(t, s, []step{
		{name: "the index stands still for five seconds", given: primaryDied(), after: 5 * second, want: []string{"Detach"}},
		{name: "then a promise is asked for", given: func(s *scene) {
			s.ask(decide.Request{Ask: decide.AskPromise, From: "node-0", Holder: id("node-0"), Epoch: 3})
		}, want: []string{"grant"}},
		{name: "it holds", after: 5500 * time.Millisecond, want: []string{}},
		{name: "and runs out", want: []string{"take 4"}},
	})
}
