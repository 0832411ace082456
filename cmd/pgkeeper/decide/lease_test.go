package decide_test

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

const second = time.Second

// primaryDied is what the others see when node-0 is gone for good.
func primaryDied(more ...func(*scene)) func(*scene) {
	return func(s *scene) {
		s.primaryDies()
		for _, change := range more {
			change(s)
		}
	}
}

// released is what the others see once node-0 has given up its lease; its keeper answers on.
func released(heir decide.Node, final bool) func(*scene) {
	return func(s *scene) {
		s.beats = false
		s.server().Streaming, s.server().ReceiverGone = false, true
		s.peer("node-0").Writable = false
		s.view().Leader.Index++
		s.leader().Released, s.leader().Heir, s.leader().Final = true, heir, final
	}
}

func TestWhoTakesTheLease(t *testing.T) {
	take := []string{"Detach", "take 4"}
	direct := []string{"take 4, primary, sync quorum [node-1 node-2 node-0]"}
	check(t, []rule{
		{name: "held while its index moves", node: "node-1", after: 20 * second},
		{name: "held for a lease after its last beat", node: "node-1", given: primaryDied(), after: 5750 * time.Millisecond, why: "nobody leads", want: []string{"Detach"}},
		{name: "free after a lease", node: "node-1", given: primaryDied(), after: 6 * second, want: take},
		{name: "second in order leaves it a second longer", node: "node-2", given: primaryDied(), after: 6750 * time.Millisecond, why: "equal, and first in order: node-1", want: []string{"Detach"}},
		{name: "second in order takes what nobody takes", node: "node-2", given: primaryDied(), after: 7 * second, want: take},
		{name: "a keeper that has just begun watches for a lease", node: "node-1", fresh: true, given: primaryDied(), after: 5750 * time.Millisecond, want: []string{"Detach"}},
		{name: "and takes it then", node: "node-1", fresh: true, given: primaryDied(), after: 6 * second, want: take},
		{name: "released needs no waiting", node: "node-1", given: released("", false), want: direct},
		{name: "released for this node", node: "node-1", given: released("node-1", false), want: direct},
		{name: "released for another: left to it", node: "node-1", given: released("node-2", false), after: 1750 * time.Millisecond, why: "nobody leads"},
		{name: "released for another that does not come", node: "node-1", given: released("node-2", false), after: 2 * second, want: direct},
		{name: "no member", node: "node-1", given: primaryDied(func(s *scene) { s.view().Members.Value = s.view().Members.Value[:1] }), after: 20 * second},
		{name: "a replaced disk is no member", node: "node-1", given: primaryDied(func(s *scene) { s.data().Identity = "new" }), after: 20 * second,
			want: []string{`register "new"`}},
		{name: "data of another system", node: "node-1", given: primaryDied(func(s *scene) { s.data().System = "other" }), after: 20 * second,
			why: "an operator must decide"},
		{name: "a rewind was interrupted", node: "node-1", given: func(s *scene) {
			released("", false)(s)
			s.gone(at(1, 1000), true)
			s.data().Rewinding = true
		}, after: 20 * second, why: "a rewind was interrupted, and nobody leads"},
		{name: "the node is draining", node: "node-1", given: primaryDied(func(s *scene) { s.ask(decide.Request{Ask: decide.AskDrain}) }), after: 20 * second,
			want: []string{"StopCleanly"}},
		{name: "the guard has gone", node: "node-1", given: primaryDied(func(s *scene) { s.seen.Local.Guard.Reachable = false }), after: 20 * second,
			want: []string{"fence: the guard has gone"}},
		{name: "Consul does not answer", node: "node-1", given: primaryDied(func(s *scene) { s.consul = false }), after: 60 * second},
		{name: "the log is not replayed yet", node: "node-1", given: primaryDied(func(s *scene) { s.server().Drained = false }), after: 7 * second,
			why: "reads its own log before it compares", want: []string{"Detach"}},
		{name: "the server does not run", node: "node-1", given: primaryDied(func(s *scene) { s.gone(at(1, 1000), false) }), after: 7 * second,
			want: []string{"start standby"}},
	})
}

func TestTheLastPrimaryNeedsNoComparison(t *testing.T) {
	alone := func(s *scene) { s.lose("node-1", "node-2") }
	taken := func(s *scene) { // node-1 took it, gave it back, and never became primary
		s.view().Leader.Index++
		s.leader().Holder, s.leader().Node, s.leader().Epoch = id("node-1"), "node-1", 4
	}
	check(t, []rule{
		{name: "it waits while another holds the lease", node: "node-0", given: func(s *scene) { alone(s); taken(s); s.gone(at(1, 1000), false) }, after: 5 * second,
			why: "was the last primary, waits for its lease"},
		{name: "it takes the lease that another gave back", node: "node-0", given: func(s *scene) {
			alone(s)
			taken(s)
			s.leader().Released = true
			s.gone(at(1, 1000), false)
		}, want: []string{"take 5, primary"}},
		{name: "it takes what it released itself when nobody else has, and starts again", node: "node-0", given: func(s *scene) {
			alone(s)
			s.view().Leader.Index++
			s.leader().Released = true
			s.gone(at(1, 1000), false)
		}, after: 4 * second, want: []string{"take 4, primary", "start primary [node-1 node-2]"}},
	})
}

func TestRenewal(t *testing.T) {
	s := as("node-0", decide.Quorum).steady()
	before := s.leader().Beat
	s.server().Written = 5000
	s.pass(10 * second)
	if got, want := s.leader().Beat-before, uint64(10); got != want {
		t.Errorf("beats in ten seconds: got %d, want %d", got, want)
	}
	if got, want := s.leader().Position, at(1, 5000); got != want {
		t.Errorf("position beside the beat: got %s, want %s", got, want)
	}
	if s.leader().Epoch != 3 || s.leader().Holder != id("node-0") {
		t.Errorf("a renewal changed the holder: %+v", *s.leader())
	}
}

// TestAWriteAtATime: while one is under way no other is sent, whatever is planned.
func TestAWriteAtATime(t *testing.T) {
	s := as("node-0", decide.Quorum).steady()
	s.held = true
	s.pass(3 * second)
	writes := 0
	for _, a := range s.asked {
		if a.Kind() == decide.KindWrite {
			writes++
		}
	}
	if writes != 1 {
		t.Errorf("writes while the first is under way: got %d, want 1", writes)
	}
}

// TestALostAnswerIsADoubt: a write whose answer was lost may still happen, until the lease's index moves.
func TestALostAnswerIsADoubt(t *testing.T) {
	t.Run("a release", func(t *testing.T) {
		s := as("node-0", decide.Quorum).steady()
		s.gone(at(1, 1000), true)
		s.held = true
		lines(t, s, s.decide(), `release for "node-1"`)
		s.end(decide.KindWrite, decide.Unknown)
		s.peer("node-1").Willing, s.peer("node-2").Willing = false, false // so it would start its own server
		lines(t, s, s.pass(second))
		s.held = false
		s.end(decide.KindWrite, decide.OK)
		lines(t, s, s.pass(second), "start primary [node-1 node-2]") // the next renewal has moved the index
	})
	t.Run("a takeover", func(t *testing.T) {
		s := as("node-1", decide.Quorum).steady()
		s.primaryDies()
		s.held = true
		lines(t, s, s.pass(6*second), "Detach", "take 4")
		s.end(decide.KindWrite, decide.Unknown)
		s.ask(decide.Request{Ask: decide.AskPromise, From: "node-0", Holder: id("node-0"), Epoch: 3})
		lines(t, s, s.decide(), "refuse: this node is taking the lease")
	})
}

// TestReadings: the lease's index only grows; a reading that shows a lower one is old.
func TestReadings(t *testing.T) {
	s := as("node-1", decide.Quorum).steady()
	old := *s.view()
	s.primaryDies()
	s.view().Leader.Index += 10
	s.leader().Holder, s.leader().Node, s.leader().Epoch = id("node-2"), "node-2", 4
	s.decide()
	*s.view() = old
	s.leader().Released = true // would be taken at once
	lines(t, s, s.pass(second))
	if got := s.state.Status.Epoch; got != 4 {
		t.Errorf("epoch after an old reading: got %d, want 4", got)
	}
}
