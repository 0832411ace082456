package decide_test

import (
	"slices"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// switchover asks for one.
func switchover(target decide.Node) func(*scene) {
	return func(s *scene) { s.ask(decide.Request{Ask: decide.AskSwitchover, Target: target}) }
}

// TestTheOrderOfASwitchover seen by the primary.
func TestTheOrderOfASwitchover(t *testing.T) {
	s := as("node-0", decide.Async).steady()
	play(t, s, []step{
		{name: "1: a checkpoint, so that the stop is short", given: switchover("node-2"), want: []string{"Checkpoint"}},
		{name: "it is waited for", after: 5 * second, want: []string{}},
		{name: "2: a clean stop", given: ended(decide.KindCheckpoint), want: []string{"StopCleanly"}},
		{name: "the end of the log is not certain yet", given: stopped(at(1, 1000), false), after: second, want: []string{}},
		{name: "3: it is: the lease is handed over to who will have all of it", given: func(s *scene) { s.gone(at(1, 1100), true) }, want: []string{`release for "node-2"`}},
		{name: "nobody has the lease yet", after: second, want: []string{}},
		{name: "4: somebody has: who asked is told, and it returns as a standby", given: func(s *scene) {
			movedOn(s)
			s.leader().Released = false
			s.view().Leader.Index++
			s.peer("node-2").History = []decide.Fork{{Timeline: 2, LSN: 1100}}
		}, want: []string{"grant", "start standby"}},
	})
	if l := s.asked; !slices.ContainsFunc(l, func(a decide.Action) bool {
		w, ok := a.(decide.Write)
		return ok && w.Purpose == decide.ReleaseLease && w.Leader.Value.Final && w.Leader.Value.Position == at(1, 1100)
	}) {
		t.Errorf("not released with its final position: %q", told(l))
	}
}

// TestTheHeir takes a lease that was handed over to it at once, and promotes.
func TestTheHeir(t *testing.T) {
	s := as("node-1", decide.Async).steady()
	play(t, s, []step{
		{name: "takes it, and is named primary in the same transaction", given: func(s *scene) {
			mine(1, 1100, 1100)(s)
			released("node-1", true)(s)
			s.leader().Position = at(1, 1100)
		}, want: []string{"take 4, primary"}},
		{name: "arms its guard", want: []string{}},
		{name: "promotes: the last primary has ended, nobody's walreceiver matters", want: []string{"promote to 2"}},
		{name: "moves the alias", given: isPromoted(2), want: []string{"renew, alias node-1 []"}},
	})
}

// TestTheHeirFails after it was named primary: nobody has written since, so that the
// lease goes on to who has all of the last primary's log, as it came.
func TestTheHeirFails(t *testing.T) {
	for name, tc := range map[string]struct {
		given func(*scene) // before it takes the lease
		end   func(*scene) // how its promotion ends
		after time.Duration
		want  []string
		final bool
		at    decide.Position
	}{
		"its server ends before it is promoted": {end: func(s *scene) { s.data().Ended = true }, want: []string{`release for ""`}, final: true, at: at(1, 1100)},
		"its disk is not read yet":              {after: 1750 * time.Millisecond, want: []string{}, at: at(1, 1100)},
		"its disk cannot be read":               {after: 2 * second, want: []string{`release for ""`}, at: at(1, 1100)},
		"it was promoted, and may have written": {end: func(s *scene) { s.data().Ended, s.data().Standby = true, false }, after: second / 4,
			want: []string{"start primary"}, at: at(1, 1100)},
		"the end of the last primary was not certain": {given: func(s *scene) { s.leader().Final = false }, end: func(s *scene) { s.data().Ended = true },
			want: []string{`release for ""`}, at: at(1, 1100)},
		"it took what lacks a little, after a lease": {given: func(s *scene) { s.leader().Position = at(1, 1110); s.pass(6 * second); s.leap(s.cfg.Tick) },
			end: func(s *scene) { s.data().Ended = true }, want: []string{`release for ""`}, at: at(1, 1100)},
	} {
		t.Run(name, func(t *testing.T) {
			s := as("node-1", decide.Async).steady()
			mine(1, 1100, 1100)(s)
			released("node-1", true)(s)
			s.leader().Position = at(1, 1100)
			if tc.given != nil {
				tc.given(s)
			}
			s.pass(second / 2)
			if l := s.leader(); l.Holder != id("node-1") || l.Final || !has(s.asked, decide.KindPromote) {
				t.Fatalf("not being promoted: %q, lease %+v", told(s.asked), *l)
			}
			s.gone(at(1, 1100), false)
			s.end(decide.KindPromote, decide.Failed)
			if tc.end != nil {
				tc.end(s)
			}
			lines(t, s, s.pass(tc.after), tc.want...)
			if l := s.leader(); l.Final != tc.final || l.Position != tc.at {
				t.Errorf("lease: final %v at %s, want %v at %s", l.Final, l.Position, tc.final, tc.at)
			}
		})
	}
}

func TestSwitchover(t *testing.T) {
	check(t, []rule{
		{name: "to the most advanced", node: "node-0", given: func(s *scene) { positionOf("node-1", at(1, 999))(s); switchover("")(s) }, want: []string{"Checkpoint"}, why: "to node-2"},
		{name: "asked of a standby", node: "node-1", given: switchover(""), want: []string{"refuse: not the primary; it is node-0"}},
		{name: "nobody is fit", node: "node-0", given: func(s *scene) { s.peer("node-1").Willing, s.peer("node-2").Willing = false, false; switchover("")(s) },
			want: []string{"refuse: no standby is fit to take over"}},
		{name: "the one named does not answer", node: "node-0", given: func(s *scene) {
			s.lose("node-2")
			s.pass(3 * second)
			s.leap(s.cfg.Tick)
			switchover("node-2")(s)
		}, want: []string{"refuse: no standby is fit to take over"}},
		{name: "the one named does not stream", node: "node-0", given: func(s *scene) { s.server().Standbys[1].Streaming = false; switchover("node-2")(s) },
			want: []string{"refuse: no standby is fit to take over", "renew, alias node-0 [node-1]"}},
		{name: "the one named is too far behind", node: "node-0", given: func(s *scene) { s.server().Written = 1001 + 16<<20; switchover("node-2")(s) },
			want: []string{"refuse: no standby is fit to take over"}},
		{name: "one is under way", node: "node-0", given: func(s *scene) { switchover("node-1")(s); s.decide(); switchover("node-2")(s) }, want: []string{"refuse: a switchover is under way"}, why: "to node-1"},
		{name: "members and set stand still meanwhile", node: "node-0", given: func(s *scene) { switchover("node-1")(s); streaming(nil)(s) }, after: 10 * second,
			want: []string{"refuse: no standby is fit to take over", "renew, alias node-0 []"}},
	})
}

// TestASwitchoverGivenUp: it is not certain where the log ends, and the primary goes on.
func TestASwitchoverGivenUp(t *testing.T) {
	s := as("node-0", decide.Async).steady()
	switchover("node-2")(s)
	s.decide()
	ended(decide.KindCheckpoint)(s)
	s.decide()
	play(t, s, []step{
		{name: "it has two seconds", given: stopped(at(1, 1000), false), after: 1750 * time.Millisecond, want: []string{}},
		{name: "then the primary starts again", want: []string{"refuse: the end of the log is not certain", "start primary"}},
		{name: "and gives nothing up while it may be starting", given: func(s *scene) { s.data().End, s.data().Exact = at(1, 1000), true }, after: 5 * second, want: []string{}},
		{name: "nor when it has started", given: func(s *scene) {
			s.end(decide.KindStart, decide.OK)
			s.seen.Local.Guard.Deadline = s.seen.Now.Add(4 * second) // the start has armed it
			s.seen.Local.Server = decide.Server{State: decide.Up, Timeline: 1, Written: 1150, Standbys: []decide.Standby{{Node: "node-1", Streaming: true}, {Node: "node-2", Streaming: true}},
				Slots: []decide.Node{"node-1", "node-2"}}
		}, after: 5 * second, want: []string{}},
	})
}

// TestASwitchoverThatNobodyTakes over: the primary takes its lease back, and says so.
func TestASwitchoverThatNobodyTakes(t *testing.T) {
	s := as("node-0", decide.Async).steady()
	switchover("node-2")(s)
	s.decide()
	ended(decide.KindCheckpoint)(s)
	s.decide()
	play(t, s, []step{
		{name: "handed over", given: stopped(at(1, 1100), true), want: []string{`release for "node-2"`}},
		{name: "everybody else first", after: 2500 * time.Millisecond, want: []string{}},
		{name: "then it takes the lease again", want: []string{"take 4, primary"}},
		{name: "and starts where it ended", want: []string{"refuse: no standby took over", "start primary"}},
	})
}

// TestDrain stops a node for good or for an update; a primary hands over first.
func TestDrain(t *testing.T) {
	drain := func(s *scene) { s.ask(decide.Request{Ask: decide.AskDrain}) }
	t.Run("a standby", func(t *testing.T) {
		s := as("node-1", decide.Quorum).steady()
		play(t, s, []step{
			{name: "stops", given: drain, want: []string{"StopCleanly"}},
			{name: "and says so", given: stopped(at(1, 1000), true), want: []string{"grant"}},
			{name: "and stays so", given: primaryDied(), after: 60 * second, want: []string{}},
			{name: "unless the drain is cancelled", given: func(s *scene) { s.ask(decide.Request{Ask: decide.AskUndrain}) }, want: []string{"grant", "start standby"}},
		})
	})
	t.Run("a primary", func(t *testing.T) {
		s := as("node-0", decide.Quorum).steady()
		play(t, s, []step{
			{name: "checkpoint", given: drain, want: []string{"Checkpoint"}},
			{name: "stop", given: ended(decide.KindCheckpoint), want: []string{"StopCleanly"}},
			{name: "hand over", given: func(s *scene) { stopped(at(1, 1100), true)(s); positionOf("node-1", at(1, 1100))(s) }, want: []string{`release for "node-1"`}},
			{name: "nobody leads yet", want: []string{}},
			{name: "the other standby does not follow yet", given: func(s *scene) {
				movedOn(s)
				s.peer("node-1").Streaming = false
			}, want: []string{}},
			{name: "only then it says so", given: func(s *scene) { s.peer("node-1").Streaming = true }, want: []string{"grant"}},
		})
	})
	t.Run("a primary whose standbys are not fit gives the lease up all the same", func(t *testing.T) {
		s := as("node-0", decide.Async).steady()
		s.peer("node-1").Willing, s.peer("node-2").Willing = false, false
		play(t, s, []step{
			{name: "checkpoint", given: drain, want: []string{"Checkpoint"}},
			{name: "it serves on for two seconds", given: ended(decide.KindCheckpoint), after: 1500 * time.Millisecond, want: []string{}},
			{name: "stop", want: []string{"StopCleanly"}},
			{name: "release", given: stopped(at(1, 1100), true), want: []string{`release for ""`}},
			{name: "and says so although nobody leads in time", after: 2 * second, want: []string{"grant"}},
		})
	})
	t.Run("a primary one of whose standbys is fit again in time", func(t *testing.T) {
		s := as("node-0", decide.Async).steady()
		s.peer("node-1").Willing, s.peer("node-2").Willing = false, false
		play(t, s, []step{
			{name: "checkpoint", given: drain, want: []string{"Checkpoint"}},
			{name: "it serves on", given: ended(decide.KindCheckpoint), after: second, want: []string{}},
			{name: "stop", given: func(s *scene) { s.peer("node-2").Willing = true }, want: []string{"StopCleanly"}},
			{name: "hand over", given: stopped(at(1, 1100), true), want: []string{`release for "node-2"`}},
		})
	})
	t.Run("a sole member keeps its lease", func(t *testing.T) {
		s := sole().steady()
		play(t, s, []step{
			{name: "checkpoint", given: drain, want: []string{"Checkpoint"}},
			{name: "stop", given: ended(decide.KindCheckpoint), want: []string{"StopCleanly"}},
			{name: "stopped", given: stopped(at(1, 1100), true), after: 5 * second, want: []string{"grant"}},
		})
		if s.leader().Released {
			t.Error("the lease of a sole member was released")
		}
	})
}

// TestACrash of PostgreSQL alone on the primary: who has all of it need not wait.
func TestACrash(t *testing.T) {
	crash := func(exact bool, more ...func(*scene)) func(*scene) {
		return func(s *scene) {
			for _, change := range more {
				change(s)
			}
			s.gone(at(1, 1000), exact)
			s.leap(s.cfg.Tick) // the others are asked after its end
		}
	}
	behind := func(s *scene) { positionOf("node-1", at(1, 990))(s); positionOf("node-2", at(1, 980))(s) }
	check(t, []rule{
		{name: "a standby has all of it", node: "node-0", given: crash(true), after: second / 4, want: []string{`release for "node-1"`}},
		{name: "the one that has more is the heir", node: "node-0", given: crash(false, behind, positionOf("node-2", at(1, 995))), after: second / 4, want: []string{`release for "node-2"`}},
		{name: "async: a standby lacks a little: restart in place", node: "node-0", mode: decide.Async, given: crash(false, behind), after: second / 4, want: []string{"start primary"}},
		{name: "quorum: it lacks only what nobody acknowledged", node: "node-0", given: crash(false, behind), after: second / 4, want: []string{`release for "node-1"`}},
		{name: "quorum: but all who acknowledged must be seen", node: "node-0", given: crash(false, lost("node-2"), func(s *scene) { s.pass(3 * second); s.leap(s.cfg.Tick) }),
			after: second / 2, want: []string{"start primary [node-1 node-2]"}},
		{name: "nobody is willing", node: "node-0", given: crash(true, func(s *scene) { s.peer("node-1").Willing, s.peer("node-2").Willing = false, false }), after: second / 4,
			want: []string{"start primary [node-1 node-2]"}},
		{name: "a node that is no member is no heir", node: "node-0", mode: decide.Async, given: crash(true, func(s *scene) { s.view().Members.Value = s.view().Members.Value[:1] }),
			after: second / 4, want: []string{"start primary"}},
		{name: "not with a lease that is nearly over", node: "node-0", given: crash(true, func(s *scene) {
			s.peer("node-1").Willing, s.peer("node-2").Willing = false, false
			s.consul = false
			s.leap(2750 * time.Millisecond)
		}), why: "waits for a renewal before it starts"},
	})
}
