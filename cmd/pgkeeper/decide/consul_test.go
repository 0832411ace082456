package decide_test

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// TestWithoutConsul is what a keeper does that has not reached Consul since it
// began: nothing that could make a second primary.
func TestWithoutConsul(t *testing.T) {
	without := func(more ...func(*scene)) func(*scene) {
		return func(s *scene) {
			s.consul = false
			s.view().AnsweredAt = 0
			for _, change := range more {
				change(s)
			}
		}
	}
	gone := func(s *scene) { s.gone(at(1, 1000), true) }
	drain := func(s *scene) { s.ask(decide.Request{Ask: decide.AskDrain}) }
	rules := []rule{
		{name: "a rebooted primary does not start", node: "node-0", given: without(gone), after: 60 * second, why: "Consul does not answer"},
		{name: "nor when it was asked to take over", node: "node-0", given: without(gone, func(s *scene) { s.ask(decide.Request{Ask: decide.AskFailover, Force: true}) }),
			after: 60 * second, want: []string{"refuse: Consul does not answer"}},
		{name: "a standby starts as one", node: "node-1", given: without(gone), want: []string{"start standby"}},
		{name: "not while a rewind was interrupted", node: "node-1", given: without(gone, func(s *scene) { s.data().Rewinding = true }), after: 60 * second},
		{name: "no data: nothing is made", node: "node-1", given: without(gone, func(s *scene) { s.seen.Local.Data = decide.Data{} }), after: 60 * second},
		{name: "a running standby is left alone", node: "node-1", given: without(), after: 60 * second, why: "Consul does not answer"},
		{name: "drained: a primary stops", node: "node-0", given: without(drain), want: []string{"StopCleanly"}},
		{name: "drained: a standby stops", node: "node-1", given: without(drain), want: []string{"StopCleanly"}},
		{name: "drained: what has stopped stays so", node: "node-1", given: without(gone, drain), after: 60 * second, want: []string{"grant"}},
		{name: "the guard is not there", node: "node-1", given: without(gone, func(s *scene) { s.seen.Local.Guard.Reachable = false }), after: 60 * second, why: "waits for the guard"},
	}
	for i := range rules {
		rules[i].fresh = true
	}
	check(t, rules)
}

// TestConsulAway, for a while, of a cluster in which all else is well.
func TestConsulAway(t *testing.T) {
	away := func(d time.Duration) func(*scene) {
		return func(s *scene) {
			s.consul = false
			s.pass(d)
			s.leap(s.cfg.Tick)
			s.consul = true
			if s.seen.Running.Has(decide.KindWrite) {
				s.end(decide.KindWrite, decide.Unknown)
			}
		}
	}
	check(t, []rule{
		{name: "an election of its servers fences nobody", node: "node-0", given: away(4 * second), after: 2 * second},
		{name: "and moves no lease", node: "node-1", given: func(s *scene) { s.beats = false; away(4 * second)(s); s.beats = true }, after: 5 * second},
		{name: "a standby streams on", node: "node-1", given: func(s *scene) { s.consul = false }, after: 600 * second},
		{name: "a lease that has stood still meanwhile is free", node: "node-1", given: func(s *scene) { s.beats = false; away(60 * second)(s) }, want: []string{"take 4"}},
		{name: "a lease that has not is held", node: "node-1", given: away(60 * second), after: 5 * second},
	})
}

// TestLinksCut: one of the links is a different case from all of them.
func TestLinksCut(t *testing.T) {
	check(t, []rule{
		{name: "the primary sees Consul and one standby", node: "node-0", given: func(s *scene) {
			s.lose("node-2")
			streaming(map[decide.Node]decide.LSN{"node-1": 2000})(s)
		}, after: 60 * second, want: []string{"renew, alias node-0 [node-1]", "wait for [node-1]"}},
		{name: "the primary sees Consul and nobody else", node: "node-0", given: func(s *scene) { s.lose("node-1", "node-2"); streaming(nil)(s) }, after: 60 * second,
			want: []string{"renew, alias node-0 []"}},
		{name: "a standby sees Consul and not the primary", node: "node-1", given: func(s *scene) { s.lose("node-0"); s.server().Streaming = false }, after: 60 * second},
		{name: "a standby sees the primary and not Consul", node: "node-1", given: func(s *scene) { s.consul = false }, after: 60 * second},
		{name: "a standby sees nobody", node: "node-1", given: func(s *scene) { s.consul = false; s.lose("node-0", "node-2"); s.server().Streaming = false }, after: 60 * second},
	})
}

// TestTheHolderRestarts its own server, or finds out what it was doing.
func TestTheHolderRestarts(t *testing.T) {
	unwilling := func(s *scene) { s.peer("node-1").Willing, s.peer("node-2").Willing = false, false }
	check(t, []rule{
		{name: "a keeper that begins beside a running primary goes on", node: "node-0", fresh: true, after: 20 * second},
		{name: "a keeper that begins where the server has gone", node: "node-0", fresh: true, given: func(s *scene) { unwilling(s); s.gone(at(1, 1000), true) },
			after: second, want: []string{"start primary [node-1 node-2]"}},
		{name: "the guard is not there", node: "node-0", given: func(s *scene) {
			unwilling(s)
			s.gone(at(1, 1000), true)
			s.seen.Local.Guard.Reachable = false
		}, after: 5 * second, why: "waits for the guard"},
		{name: "another disk of a node may have acknowledged", node: "node-0", given: func(s *scene) {
			s.view().Sync.Value.Copies = append(s.view().Sync.Value.Copies, decide.Copy{Node: "node-0", ID: "before"})
			s.gone(at(1, 1000), false)
			s.leap(s.cfg.Tick)
		}, after: second / 4, want: []string{"start primary [node-1 node-2]"}},
	})
	t.Run("a start that takes long, though a standby could take over", func(t *testing.T) {
		s := as("node-0", decide.Quorum).steady()
		unwilling(s)
		s.gone(at(1, 1000), true)
		play(t, s, []step{
			{name: "it starts", want: []string{"start primary [node-1 node-2]"}},
			{name: "it is starting", given: func(s *scene) { s.server().State = decide.Starting }, after: 9500 * time.Millisecond, want: []string{}},
			{name: "nobody could take over", after: second, want: []string{}},
			{name: "one could: the start is ended", given: func(s *scene) { s.peer("node-2").Willing = true }, want: []string{"fence: the start takes long, a standby can take over"}},
			{name: "it has not gone yet", given: func(s *scene) { s.end(decide.KindFence, decide.OK) }, after: second / 2, want: []string{"fence: the start takes long, a standby can take over"}},
			{name: "and it takes over", given: func(s *scene) { s.end(decide.KindStart, decide.Failed); s.gone(at(1, 1000), false); s.leap(s.cfg.Tick) }, after: second,
				want: []string{`release for "node-2"`}},
			{name: "the data are good all the same", given: func(s *scene) {
				movedOn(s)
				s.leader().Released = false
				s.view().Leader.Index++
				s.peer("node-2").History = []decide.Fork{{Timeline: 2, LSN: 1100}}
			}, after: 4 * second, want: []string{"start standby"}},
		})
	})
	t.Run("it drains a standby that holds the lease", func(t *testing.T) {
		s := holds(decide.Quorum)
		play(t, s, []step{
			{name: "it stops", given: func(s *scene) { s.ask(decide.Request{Ask: decide.AskDrain}) }, want: []string{"StopCleanly"}},
			{name: "and gives the lease up", given: stopped(at(1, 1000), true), want: []string{`release for ""`}},
		})
	})
}
