package decide_test

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// detached is what a survivor says once it has ended its walreceiver for an epoch.
func detached(node decide.Node, epoch uint64, settled bool) func(*scene) {
	return func(s *scene) {
		p := s.peer(node)
		p.Detached, p.Settled, p.Epoch, p.Streaming, p.Upstream = epoch, settled, epoch, false, ""
	}
}

// selfDetached is the end of this node's own walreceiver.
func selfDetached(s *scene) {
	s.end(decide.KindDetach, decide.OK)
	s.server().Upstream, s.server().ReceiverGone, s.server().Streaming = "", true, false
}

// isPromoted is the end of this node's promotion.
func isPromoted(timeline uint32) func(*scene) {
	return func(s *scene) {
		s.end(decide.KindPromote, decide.OK)
		slots := s.server().Slots
		s.seen.Local.Server = decide.Server{State: decide.Up, Timeline: timeline, Written: 1100, History: []decide.Fork{{Timeline: timeline, LSN: 1000}},
			SyncNames: s.latest(decide.KindPromote).(decide.Promote).SyncNames, Slots: slots}
		s.data().Standby = false
	}
}

// TestTheOrderOfATakeover, of a primary that died in silence.
func TestTheOrderOfATakeover(t *testing.T) {
	s := as("node-1", decide.Quorum).steady()
	play(t, s, []step{
		{name: "1: the survivors are not ahead, and the lease is free", given: primaryDied(), after: 6 * second, want: []string{"Detach", "take 4"}},
		{name: "2: walreceivers end, here and there", want: []string{"ask [node-0 node-2] to detach"}},
		{name: "this node's has ended", given: selfDetached, after: second, want: []string{"ask [node-0 node-2] to detach"}, then: primaryIs("node-0")},
		{name: "the other has agreed, its receiver is not gone yet", given: detached("node-2", 4, false), after: second, want: []string{"ask [node-0] to detach"}, then: primaryIs("node-0")},
		{name: "3: compare again, and write down who is primary", given: detached("node-2", 4, true),
			want: []string{"ask [node-0] to detach"}, then: primaryIs("node-1")},
		{name: "4: arm the guard", want: []string{}, then: func(s *scene) string {
			if got := s.seen.Local.Guard.Deadline; got == decide.Forever {
				return "the guard is not armed"
			}
			return ""
		}},
		{name: "5: promote, to the number reserved", want: []string{"promote to 2 [node-2]"}},
		{name: "nothing else meanwhile", after: second, want: []string{}},
		{name: "6: the alias moves", given: isPromoted(2), want: []string{"renew, alias node-1 []"}},
	})
	if l := s.leader(); l.Primary != id("node-1") || l.Previous != copyOn("node-0") || l.Reserved != 2 || l.Epoch != 4 {
		t.Errorf("lease after the takeover: %+v", *l)
	}
	if got := s.state.Status; !got.Writable || got.Role != decide.Primary {
		t.Errorf("status after the takeover: %+v", got)
	}
}

// holds is node-1 with the lease of epoch 4, its own walreceiver ended.
func holds(mode decide.Mode, more ...func(*scene)) *scene {
	s := as("node-1", mode).steady()
	s.primaryDies()
	s.pass(6 * second)
	s.leap(s.cfg.Tick)
	s.decide()
	selfDetached(s)
	for _, change := range more {
		change(s)
	}
	s.asked = nil
	return s
}

// TestSettling is what a holder waits for between the lease and the promotion.
func TestSettling(t *testing.T) {
	for name, tc := range map[string]struct {
		mode  decide.Mode
		given func(*scene)
		after int // quarters of a second
		want  decide.Identity
		why   string
	}{
		"a survivor that must be compared does not answer": {decide.Quorum, lost("node-2"), 40, id("node-0"), "waits until the walreceiver has ended on node-2"},
		"it has agreed, and still streams":                 {decide.Quorum, detached("node-2", 4, false), 40, id("node-0"), "waits until the walreceiver has ended on node-2"},
		"it agreed to an earlier takeover only":            {decide.Quorum, detached("node-2", 3, true), 40, id("node-0"), "waits until the walreceiver has ended on node-2"},
		"it has settled":                                   {decide.Quorum, detached("node-2", 4, true), 1, id("node-1"), ""},
		"it has settled for a later one":                   {decide.Quorum, detached("node-2", 5, true), 1, id("node-1"), ""},
		"a survivor that cannot have acknowledged": {decide.Quorum, func(s *scene) { listed("node-1")(s); s.leader().Beat++ }, 2, id("node-0"),
			"waits until the walreceiver has ended on node-2"},
		"is waited for a second only":                  {decide.Quorum, listed("node-1"), 6, id("node-1"), ""},
		"async: a survivor is waited for a second":     {decide.Async, nil, 2, id("node-0"), "waits until the walreceiver has ended on node-2"},
		"async: and no longer":                         {decide.Async, nil, 6, id("node-1"), ""},
		"async: one that does not answer is not":       {decide.Async, func(s *scene) { lost("node-2")(s); s.leap(3 * second) }, 1, id("node-1"), ""},
		"the primary's copy is listed, none stands in": {decide.Quorum, listed("node-0", "node-1"), 40, id("node-0"), "node-0"},
		"the primary's copy is listed, one stands in": {decide.Quorum, func(s *scene) {
			listed("node-0", "node-2")(s)
			s.leader().Previous = copyOn("node-1")
			detached("node-2", 4, true)(s)
		}, 1, id("node-1"), ""},
		"this node's log is not replayed": {decide.Quorum, func(s *scene) { detached("node-2", 4, true)(s); s.server().Drained = false }, 40, id("node-0"), "ends its walreceiver"},
	} {
		t.Run(name, func(t *testing.T) {
			s := holds(tc.mode)
			if tc.given != nil {
				tc.given(s)
			}
			for range tc.after {
				s.decide()
				s.leap(s.cfg.Tick)
			}
			if got := s.leader().Primary; got != tc.want {
				t.Errorf("primary in Consul: got %s, want %s (%s)", got, tc.want, s.state.Status.Why)
			}
			if got := s.state.Status.Why; !contains(got, tc.why) {
				t.Errorf("reason: got %q, want %q in it", got, tc.why)
			}
		})
	}
}

// TestGivingBack a lease under which nothing was promoted.
func TestGivingBack(t *testing.T) {
	for name, tc := range map[string]struct {
		mode  decide.Mode
		given func(*scene)
		after int // quarters of a second
		want  []string
	}{
		"a survivor turns out to be ahead": {decide.Quorum, func(s *scene) { detached("node-2", 4, true)(s); positionOf("node-2", at(1, 1001))(s) }, 1,
			[]string{`give back for "node-2"`}},
		"a survivor is ahead and could not take over": {decide.Async, func(s *scene) {
			detached("node-2", 4, true)(s)
			positionOf("node-2", at(1, 1001))(s)
			s.peer("node-2").Willing = false
		}, 1, []string{}},
		"the takeover does not end: to the last primary": {decide.Quorum, lost("node-2"), 62, []string{"ask [node-0 node-2] to detach", `give back for "node-0"`}},
	} {
		t.Run(name, func(t *testing.T) {
			s := holds(tc.mode)
			tc.given(s)
			for range tc.after {
				s.decide()
				s.leap(s.cfg.Tick)
			}
			lines(t, s, s.asked, tc.want...)
		})
	}
}

// TestPromotion: what must be so before it, and what becomes of one that fails.
func TestPromotion(t *testing.T) {
	named := func(more ...func(*scene)) *scene {
		s := holds(decide.Quorum, detached("node-2", 4, true))
		s.pass(0)
		s.leap(s.cfg.Tick)
		for _, change := range more {
			change(s)
		}
		s.asked = nil
		return s
	}
	for name, tc := range map[string]struct {
		given func(*scene)
		after int // quarters of a second
		want  []string
	}{
		"the guard is armed first":             {nil, 1, []string{}},
		"then it is promoted":                  {nil, 2, []string{"promote to 2 [node-2]"}},
		"a keeper that begins here promotes":   {func(s *scene) { s.pass(0); s.restart() }, 4, []string{"promote to 2 [node-2]"}},
		"not with a lease that is nearly over": {func(s *scene) { s.pass(0); s.asked = nil; s.consul = false; s.leap(3500 * time.Millisecond) }, 3, []string{}},
		"the number is used already: reserve":  {func(s *scene) { s.server().Timeline, s.server().History = 2, []decide.Fork{{Timeline: 2, LSN: 900}} }, 3, []string{"promote to 3 [node-2]"}},
		"the server ended during the promotion": {func(s *scene) {
			s.pass(second / 4)
			s.gone(at(1, 1000), true)
			s.end(decide.KindPromote, decide.Failed)
			s.asked = nil
		}, 1, []string{`release for ""`}},
		"the promotion does not end": {func(s *scene) { s.pass(second / 4); s.asked = nil }, 63, []string{"fence: the promotion does not end"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := named()
			if tc.given != nil {
				tc.given(s)
			}
			for range tc.after {
				s.decide()
				s.leap(s.cfg.Tick)
			}
			lines(t, s, s.asked, tc.want...)
		})
	}
}

// TestAHolderThatKnowsNotWhy waits a lease: its predecessor, or a write thought
// lost, may have taken it against a promise.
func TestAHolderThatKnowsNotWhy(t *testing.T) {
	s := holds(decide.Quorum, detached("node-2", 4, true))
	s.restart()
	play(t, s, []step{
		{name: "it waits", after: 5750 * time.Millisecond, want: []string{}, then: primaryIs("node-0")},
		{name: "a lease", want: []string{"ask [node-0] to detach"}, then: primaryIs("node-1")},
	})
}
