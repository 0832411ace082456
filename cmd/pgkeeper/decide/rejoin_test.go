package decide_test

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// fork is where timeline 2 leaves timeline 1 in these tests.
var fork = []decide.Fork{{Timeline: 2, LSN: 1000}}

// movedOn is what a node sees once node-2 has taken over from node-0, on
// timeline 2 in epoch 4.
func movedOn(s *scene) {
	s.view().Leader.Index++
	l := s.leader()
	l.Holder, l.Node, l.Address, l.Primary, l.Epoch = id("node-2"), "node-2", address("node-2"), id("node-2"), 4
	l.Position, l.Fork, l.Reserved = at(2, 2000), at(1, 1000), 2
	*s.peer("node-2") = decide.Status{Node: "node-2", ID: id("node-2"), Role: decide.Primary, Writable: true, Epoch: 4, Known: true, Position: at(2, 2000), History: fork}
	for i := range s.seen.Peers {
		if p := &s.seen.Peers[i].Status; p.Node == "node-1" {
			p.Streaming, p.Upstream, p.Position, p.History = true, "node-2", at(2, 2000), fork
		}
	}
}

// wasPrimary is a node that comes back with the data of the primary before.
func wasPrimary(end decide.LSN, exact bool) func(*scene) {
	return func(s *scene) {
		movedOn(s)
		s.gone(at(1, end), exact)
		s.seen.Local.Guard.Deadline = decide.Forever
	}
}

// TestReturn of a former primary or a standby: follow, rewind or clone.
func TestReturn(t *testing.T) {
	check(t, []rule{
		{name: "former primary, ended before the fork", node: "node-0", fresh: true, given: wasPrimary(1000, true), want: []string{"start standby"}},
		{name: "former primary, ended beyond the fork", node: "node-0", fresh: true, given: wasPrimary(1001, true), want: []string{"rewind to node-2"}},
		{name: "former primary, its end is not known yet", node: "node-0", fresh: true, given: wasPrimary(1001, false), want: []string{"start standby"}},
		{name: "former primary, nobody leads", node: "node-0", fresh: true, given: func(s *scene) { wasPrimary(1001, true)(s); s.peer("node-2").Writable = false },
			want: []string{"start standby"}},
		{name: "former primary without Consul", node: "node-0", fresh: true, given: func(s *scene) {
			wasPrimary(1001, true)(s)
			s.consul = false
			s.peer("node-2").Writable = false
			s.view().AnsweredAt = 0
		}, after: 60 * second, why: "Consul does not answer"},
		{name: "a later timeline that the leader's does not contain", node: "node-0", fresh: true, given: func(s *scene) {
			wasPrimary(500, true)(s)
			s.data().End, s.data().History = at(3, 500), []decide.Fork{{Timeline: 3, LSN: 400}}
		}, want: []string{"rewind to node-2"}},
		{name: "the same timeline number with another history", node: "node-0", fresh: true, given: func(s *scene) {
			wasPrimary(500, true)(s)
			s.data().End, s.data().History = at(2, 950), []decide.Fork{{Timeline: 2, LSN: 900}}
		}, want: []string{"rewind to node-2"}},
		{name: "an interrupted rewind means clone", node: "node-0", fresh: true, given: func(s *scene) { wasPrimary(1001, true)(s); s.data().Rewinding = true },
			want: []string{"clone node-2"}},
		{name: "and waits for somebody to clone from", node: "node-0", fresh: true, given: func(s *scene) {
			wasPrimary(1001, true)(s)
			s.data().Rewinding = true
			s.peer("node-2").Writable = false
		}, after: 60 * second, why: "a rewind was interrupted, and nobody leads"},
		{name: "a leader of an earlier epoch is none", node: "node-0", fresh: true, given: func(s *scene) { wasPrimary(1001, true)(s); s.peer("node-2").Epoch = 3 },
			want: []string{"start standby"}},
		{name: "data of another system are not thrown away", node: "node-0", fresh: true, given: func(s *scene) { wasPrimary(1001, true)(s); s.data().System = "other" },
			after: 60 * second, why: "an operator must decide"},
		{name: "the node is draining", node: "node-0", fresh: true, given: func(s *scene) { wasPrimary(1001, true)(s); s.ask(decide.Request{Ask: decide.AskDrain}) },
			after: 60 * second, want: []string{"grant"}},
	})
}

// TestARunningStandby follows whoever leads, unless it has left the leader's history.
func TestARunningStandby(t *testing.T) {
	check(t, []rule{
		{name: "all is well", node: "node-1", after: 60 * second},
		{name: "another leads", node: "node-1", given: movedOn, want: []string{"follow node-2"}},
		{name: "another leads, and this one had more than it", node: "node-1", given: func(s *scene) { movedOn(s); mine(1, 1001, 1001)(s) }, want: []string{"StopCleanly"}},
		{name: "it does not know yet how far it is", node: "node-1", given: func(s *scene) {
			movedOn(s)
			mine(1, 1001, 1001)(s)
			s.server().Streaming, s.server().Drained = false, false
		},
			want: []string{"follow node-2"}},
		{name: "another claims to lead in an earlier epoch", node: "node-1", given: func(s *scene) {
			s.peer("node-2").Writable, s.peer("node-2").Epoch = true, 2
		}, after: 5 * second},
		{name: "the upstream has removed log that it needs", node: "node-1", given: func(s *scene) { s.server().LogLost = true }, after: second / 4, want: []string{"StopCleanly"}},
		{name: "nobody leads for as long as a server may run without a renewal: it ends its walreceiver", node: "node-1", given: primaryDied(), after: 5 * second, want: []string{"Detach"}},
		{name: "asked to detach", node: "node-1", given: func(s *scene) { s.ask(decide.Request{Ask: decide.AskDetach, From: "node-2", Epoch: 4}) }, want: []string{"grant", "Detach"}},
		{name: "asked to detach for an earlier lease", node: "node-1", given: func(s *scene) { s.ask(decide.Request{Ask: decide.AskDetach, From: "node-2", Epoch: 2}) },
			want: []string{"refuse: the lease has passed on"}},
		{name: "it follows nobody of an epoch before the one it was detached for", node: "node-1", given: func(s *scene) {
			s.ask(decide.Request{Ask: decide.AskDetach, From: "node-2", Epoch: 4})
			s.decide()
			selfDetached(s)
		}, after: 60 * second},
		{name: "the holder does not detach", node: "node-0", given: func(s *scene) { s.ask(decide.Request{Ask: decide.AskDetach, From: "node-2", Epoch: 4}) },
			want: []string{"refuse: this node holds the lease"}},
	})
}

// stopped is the end of a clean stop.
func stopped(end decide.Position, exact bool) func(*scene) {
	return func(s *scene) {
		s.end(decide.KindStopCleanly, decide.OK)
		s.gone(end, exact)
	}
}

// TestAStandbyThatDoesNotStream although its primary answers.
func TestAStandbyThatDoesNotStream(t *testing.T) {
	s := as("node-1", decide.Quorum).steady()
	before := *s.server()
	down := func(s *scene) { s.server().Streaming = false }
	up := func(s *scene) {
		s.end(decide.KindStart, decide.OK)
		*s.server() = before
	}
	play(t, s, []step{
		{name: "may take its time", given: down, after: 3 * second, want: []string{}},
		{name: "is started again: it may hold on to a timeline that nobody has", want: []string{"StopCleanly"}},
		{name: "as a standby", given: stopped(at(1, 1000), true), after: 2 * second, want: []string{"start standby"}},
		{name: "streams, and is as good as new", given: up, after: second, want: []string{}},
		{name: "may take its time once more", given: down, after: 3 * second, want: []string{}},
		{name: "is started again", want: []string{"StopCleanly"}},
		{name: "as a standby once more", given: stopped(at(1, 1000), true), after: 2 * second, want: []string{"start standby"}},
		{name: "but not a third time", given: func(s *scene) { up(s); down(s) }, after: 54 * second, want: []string{}},
		{name: "after a minute only a fresh copy helps", after: 7 * second, want: []string{"StopCleanly"}},
		{name: "is cloned", given: stopped(at(1, 1000), true), after: second, want: []string{"clone node-0"}},
	})
}

// TestAStandbyOfANewPrimary does not stream because the one before is gone, and has the
// same time with the next.
func TestAStandbyOfANewPrimary(t *testing.T) {
	s := as("node-1", decide.Quorum).steady()
	play(t, s, []step{
		{name: "the primary is gone", given: func(s *scene) { s.server().Streaming = false; released("node-2", false)(s) }, after: 1750 * time.Millisecond, want: []string{}},
		{name: "another leads", given: func(s *scene) {
			movedOn(s)
			s.leader().Released = false
			s.view().Leader.Index++
		}, want: []string{"follow node-2"}},
		{name: "it may take its time", given: func(s *scene) {
			s.end(decide.KindFollow, decide.OK)
			s.server().Upstream, s.server().UpstreamEpoch = "node-2", s.leader().Epoch
		}, after: 3 * second, want: []string{}},
		{name: "and not more", want: []string{"StopCleanly"}},
	})
}

// standsBy is a standby of this node that has started.
func standsBy(timeline uint32, lsn decide.LSN) func(*scene) {
	return func(s *scene) {
		if s.seen.Running.Has(decide.KindStart) {
			s.end(decide.KindStart, decide.OK)
		}
		s.data().Standby = true
		s.seen.Local.Server = decide.Server{State: decide.Up, InRecovery: true, Timeline: timeline, Replayed: lsn, Drained: true, ReceiverGone: true}
	}
}

// TestDataThatLeftTheHistory are rewound although the end of their log is not
// certain, which nothing but a start would tell again and again.
func TestDataThatLeftTheHistory(t *testing.T) {
	s := as("node-0", decide.Quorum)
	wasPrimary(1001, false)(s)
	play(t, s, []step{
		{name: "started to see how far it is", want: []string{"start standby"}},
		{name: "it has left the history", given: standsBy(1, 1001), want: []string{"StopCleanly"}},
		{name: "rewound, whether its end is certain or not", given: stopped(at(1, 900), false), want: []string{"rewind to node-2"}},
		{name: "started, once that is done", given: func(s *scene) {
			s.end(decide.KindRewind, decide.OK)
			s.gone(at(2, 1000), false)
			s.data().History = fork
		}, want: []string{"start standby"}},
		{name: "it follows", given: func(s *scene) { standsBy(2, 1000)(s); s.server().History = fork }, want: []string{"follow node-2"}},
	})
}

// TestOtherStandbyComesFirst: a commit waits for it, and a server that starts
// would take its time.
func TestOtherStandbyComesFirst(t *testing.T) {
	s := as("node-0", decide.Quorum)
	s.decide()
	movedOn(s)
	s.peer("node-1").Upstream = "node-0"
	s.gone(at(1, 1000), true)
	s.seen.Local.Guard.Deadline = decide.Forever
	play(t, s, []step{
		{name: "it does not follow the new primary yet", want: []string{}},
		{name: "it connects", given: func(s *scene) { s.peer("node-1").Upstream, s.peer("node-1").Streaming = "node-2", false }, want: []string{}},
		{name: "it streams what was before the promotion", given: func(s *scene) {
			s.peer("node-1").Streaming, s.peer("node-1").Position = true, at(1, 1000)
		}, want: []string{}},
		{name: "it streams", given: func(s *scene) { s.peer("node-1").Position = at(2, 1000) }, want: []string{"start standby"}},
	})
	for name, given := range map[string]func(*scene){
		"it cannot be seen":    func(s *scene) { s.lose("node-1"); s.leap(s.cfg.PeerFresh) },
		"it takes its time":    func(s *scene) { s.leap(s.cfg.Heir) },
		"it is no member more": func(s *scene) { s.view().Members.Value = s.view().Members.Value[:1]; s.view().Members.Index++ },
	} {
		t.Run(name, func(t *testing.T) {
			s := as("node-0", decide.Quorum)
			s.decide()
			s.leap(s.cfg.Tick)
			movedOn(s)
			s.peer("node-1").Upstream = "node-0"
			s.gone(at(1, 1000), true)
			s.seen.Local.Guard.Deadline = decide.Forever
			s.decide()
			play(t, s, []step{{name: "started", given: given, want: []string{"start standby"}}})
		})
	}
}

// TestARewindThatHasToWait: the leader is out of sight for a moment.
func TestARewindThatHasToWait(t *testing.T) {
	s := as("node-0", decide.Quorum)
	wasPrimary(1001, false)(s)
	s.decide()
	standsBy(1, 1001)(s)
	s.leap(s.cfg.Tick)
	s.decide()
	play(t, s, []step{
		{name: "the leader does not answer: not started again for a lease", given: func(s *scene) {
			stopped(at(1, 900), false)(s)
			s.peer("node-2").Writable = false
		}, after: 5750 * time.Millisecond, want: []string{}},
		{name: "but then, for the others may need to know how far it is", given: nil, want: []string{"start standby"}},
	})
}

// TestFailedAttempts: a rewind is tried twice, a start three times, then the data are replaced.
func TestFailedAttempts(t *testing.T) {
	t.Run("rewind", func(t *testing.T) {
		s := as("node-0", decide.Quorum)
		wasPrimary(1001, true)(s)
		failed := func(s *scene) { s.end(decide.KindRewind, decide.Failed) }
		play(t, s, []step{
			{name: "first", want: []string{"rewind to node-2"}},
			{name: "not again at once", given: failed, after: 750 * time.Millisecond, want: []string{}},
			{name: "second", want: []string{"rewind to node-2"}},
			{name: "clone", given: failed, after: second, want: []string{"clone node-2"}},
			{name: "a clone that fails is tried again", given: func(s *scene) { s.end(decide.KindClone, decide.Failed) }, after: second, want: []string{"clone node-2"}},
		})
	})
	t.Run("start", func(t *testing.T) {
		s := as("node-1", decide.Quorum).steady()
		failed := func(s *scene) { s.end(decide.KindStart, decide.Failed); s.gone(at(1, 1000), false) }
		play(t, s, []step{
			{name: "first", given: func(s *scene) { s.gone(at(1, 1000), false) }, want: []string{"start standby"}},
			{name: "second", given: failed, after: second, want: []string{"start standby"}},
			{name: "third", given: failed, after: second, want: []string{"start standby"}},
			{name: "clone", given: failed, after: second, want: []string{"clone node-0"}},
		})
	})
}

// TestRewoundInVain: a rewound server needs log of its source before it answers.
func TestRewoundInVain(t *testing.T) {
	waits := func(from decide.Node) func(*scene) {
		return func(s *scene) {
			movedOn(s)
			s.gone(at(1, 1000), false)
			s.data().Standby, s.data().Rewound = true, decide.Rewind{Node: from, Epoch: 4}
			s.server().State, s.seen.Local.Guard.Deadline = decide.Starting, decide.Forever
		}
	}
	check(t, []rule{
		{name: "its source leads", node: "node-0", fresh: true, given: waits("node-2"), after: 60 * second, why: "its server is starting"},
		{name: "another leads: the source may answer still", node: "node-0", fresh: true, given: waits("node-1"), after: 9750 * time.Millisecond, why: "its server is starting"},
		{name: "but not for ever", node: "node-0", fresh: true, given: waits("node-1"), after: 10 * second, want: []string{"fence: was rewound to node-1, which leads no more"}},
		{name: "nobody leads", node: "node-0", fresh: true, given: func(s *scene) { waits("node-1")(s); s.peer("node-2").Writable = false }, after: 60 * second},
		{name: "then it is cloned", node: "node-0", fresh: true, given: func(s *scene) {
			waits("node-1")(s)
			s.pass(10 * second)
			s.end(decide.KindFence, decide.OK)
			s.gone(at(1, 1000), false)
			s.leap(s.cfg.Tick)
		}, want: []string{"clone node-2"}},
	})
}

func TestDiverged(t *testing.T) {
	deep := []decide.Fork{{Timeline: 2, LSN: 1000}, {Timeline: 4, LSN: 2000}}
	for name, tc := range map[string]struct {
		position decide.Position
		history  []decide.Fork
		theirs   decide.Position
		their    []decide.Fork
		want     bool
	}{
		"the same timeline, behind":               {at(1, 5), nil, at(1, 9), nil, false},
		"the same timeline, ahead":                {at(1, 9), nil, at(1, 5), nil, false},
		"the same number, another fork":           {at(2, 5), []decide.Fork{{Timeline: 2, LSN: 4}}, at(2, 9), []decide.Fork{{Timeline: 2, LSN: 3}}, true},
		"their parent, up to the fork":            {at(1, 1000), nil, at(2, 1500), fork, false},
		"their parent, beyond the fork":           {at(1, 1001), nil, at(2, 1500), fork, true},
		"their grandparent, up to the fork":       {at(1, 1000), nil, at(4, 2500), deep, false},
		"their grandparent, beyond its fork":      {at(1, 1500), nil, at(4, 2500), deep, true},
		"their parent on the way, up to the fork": {at(2, 2000), fork, at(4, 2500), deep, false},
		"a timeline that is none of theirs":       {at(3, 1100), []decide.Fork{{Timeline: 3, LSN: 1000}}, at(4, 2500), deep, true},
		"a later one than theirs":                 {at(2, 1001), fork, at(1, 1500), nil, true},
	} {
		if got := decide.Diverged(tc.position, tc.history, tc.theirs, tc.their); got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
}

// TestANodeNamedPrimary is followed while it is still being promoted.
func TestANodeNamedPrimary(t *testing.T) {
	named := func(more ...func(*scene)) func(*scene) {
		return func(s *scene) {
			s.primaryDies()
			l := s.leader()
			s.view().Leader.Index++
			l.Holder, l.Primary, l.Node, l.Epoch = id("node-2"), id("node-2"), "node-2", 4
			s.peer("node-2").Role = decide.TakingOver
			for _, change := range more {
				change(s)
			}
		}
	}
	check(t, []rule{
		{name: "holds the lease and is named", node: "node-1", given: named(), want: []string{"follow node-2"}},
		{name: "holds the lease, still compares", node: "node-1", given: named(func(s *scene) { s.leader().Primary = id("node-0") }), want: []string{}},
		{name: "has given the lease back", node: "node-1", given: named(func(s *scene) { s.leader().Released, s.leader().Heir = true, "node-2" }), want: []string{}},
		{name: "was overtaken", node: "node-1", given: named(func(s *scene) { s.ask(decide.Request{Ask: decide.AskDetach, From: "node-2", Epoch: 5}) }), want: []string{"grant", "Detach"}},
		{name: "would leave this node's log out", node: "node-1", given: named(func(s *scene) {
			s.peer("node-2").Position, s.peer("node-2").History = at(2, 900), []decide.Fork{{Timeline: 2, LSN: 900}}
		}), want: []string{}},
	})
}
