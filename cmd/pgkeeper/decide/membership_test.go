package decide_test

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// joins is node-1, registered and cloned, beginning to stream from the sole member.
func joins(s *scene) {
	s.view().Nodes = append(s.view().Nodes, decide.Registration{Node: "node-1", ID: id("node-1"), Address: address("node-1"), StatusPort: 8432})
	s.seen.Peers = []decide.Peer{{Node: "node-1", Status: statusOf("node-1")}}
	streaming(map[decide.Node]decide.LSN{"node-1": 1000})(s)
	s.server().Slots = []decide.Node{"node-1"}
}

// remembered is the end of Remember.
func remembered(s *scene) {
	s.end(decide.KindRemember, decide.OK)
	s.data().Memory = s.latest(decide.KindRemember).(decide.Remember).Memory
}

// TestTheSoleMemberAdmitsAnother: the lease binds it before there is one.
func TestTheSoleMemberAdmitsAnother(t *testing.T) {
	s := sole().steady()
	unarmed := func(s *scene) string {
		if s.seen.Local.Guard.Deadline != decide.Forever {
			return "the guard is armed too early"
		}
		return ""
	}
	play(t, s, []step{
		{name: "1: the note on the disk goes", given: joins, want: []string{"remember {Announced:true Sole:false}"}, then: unarmed},
		{name: "nothing before it is gone", after: 5 * second, want: []string{}, then: unarmed},
		{name: "2: the guard is armed", given: remembered, want: []string{}, then: unarmed},
		{name: "3: it is a member", after: second / 2, want: []string{"renew, members [node-0 node-1]", "renew, sync quorum [node-1], alias node-0 [node-1]"}, then: func(s *scene) string {
			if s.seen.Local.Guard.Deadline == decide.Forever {
				return "the guard is not armed"
			}
			return ""
		}},
		{name: "4: it may acknowledge", want: []string{"wait for [node-1]"}},
	})
	lines(t, s, func() []decide.Action { cutOff(s); return s.pass(6 * second) }(), "ask [node-1] for promises", "fence: the lease has run out")
}

// TestAnAdmissionThatIsLost: once a reading shows that the write that would have
// admitted another never came, nobody can challenge, so that neither the lease nor
// promises are needed, though the answer to the renewal is still under way.
func TestAnAdmissionThatIsLost(t *testing.T) {
	s := sole().steady()
	away := func(s *scene) {
		s.consul = false
		for range 40 {
			if s.seen.Running.Has(decide.KindWrite) {
				s.end(decide.KindWrite, decide.Unknown)
			}
			if s.seen.Running.Has(decide.KindAskPromise) {
				promises(s, "node-1", decide.OK)
			}
			s.decide()
			s.leap(s.cfg.Tick)
		}
	}
	play(t, s, []step{
		{name: "the note on the disk goes", given: joins, want: []string{"remember {Announced:true Sole:false}"}},
		{name: "the guard is armed", given: remembered, after: second / 4, want: []string{}},
		{name: "the admission is written", given: func(s *scene) { s.held = true }, want: []string{"renew, members [node-0 node-1]"}},
		{name: "Consul is away, and the newcomer promises", given: away, want: []string{"ask [node-1] for promises"}},
		{name: "a renewal has come, as a reading shows before its answer", given: func(s *scene) {
			s.consul = true
			s.view().Leader.Index++
		}, after: 10 * second, want: []string{}, then: func(s *scene) string {
			if s.seen.Local.Guard.Deadline != decide.Forever {
				return "the guard of a sole member is armed"
			}
			return ""
		}},
		{name: "its answer comes, and who streams is admitted", given: func(s *scene) {
			s.held = false
			s.end(decide.KindWrite, decide.OK)
		}, after: second, want: []string{"renew, members [node-0 node-1]", "renew, sync quorum [node-1], alias node-0 [node-1]", "wait for [node-1]"}},
	})
}

// TestADisarmedGuardAdmitsNobody: that of a sole member may be on its way to be
// disarmed though the last word of it was that it is armed.
func TestADisarmedGuardAdmitsNobody(t *testing.T) {
	s := sole().steady()
	armed := decide.Forever
	isArmed := func(s *scene) string {
		if armed = s.seen.Local.Guard.Deadline; armed == decide.Forever {
			return "the guard is not armed"
		}
		return ""
	}
	play(t, s, []step{
		{name: "the note on the disk goes", given: joins, want: []string{"remember {Announced:true Sole:false}"}},
		{name: "the guard is armed, while a renewal is under way", given: func(s *scene) { remembered(s); s.held = true }, after: second / 2, want: []string{}, then: isArmed},
		{name: "that takes too long to admit anybody beside it: it is disarmed", after: 2250 * time.Millisecond, want: []string{}, then: func(s *scene) string {
			if s.seen.Local.Guard.Deadline != decide.Forever {
				return "the guard of a sole member is armed"
			}
			return ""
		}},
		{name: "it ends, and the guard has not answered yet", given: func(s *scene) {
			s.seen.Local.Guard.Deadline = armed
			s.held = false
			s.end(decide.KindWrite, decide.OK)
		}, want: []string{}},
		{name: "the newcomer is admitted once the guard is armed by a later renewal", after: 2 * second,
			want: []string{"renew, members [node-0 node-1]", "renew, sync quorum [node-1], alias node-0 [node-1]", "wait for [node-1]"}, then: isArmed},
	})
}

// TestANoteUnderWayAdmitsNobody: it may say that this is the only member.
func TestANoteUnderWayAdmitsNobody(t *testing.T) {
	s := sole().steady()
	play(t, s, []step{
		{name: "the note on the disk goes", given: joins, want: []string{"remember {Announced:true Sole:false}"}},
		{name: "the guard is armed", given: remembered, after: second / 4, want: []string{}},
		{name: "the newcomer streams no more: it comes back", given: streaming(nil), want: []string{"remember {Announced:true Sole:true}"}},
		{name: "it streams again, while the note is written", given: joins, after: 5 * second, want: []string{}},
		{name: "first the note goes again", given: remembered, after: 5 * second, want: []string{"remember {Announced:true Sole:false}"}},
		{name: "then it is admitted", given: remembered, after: 1500 * time.Millisecond,
			want: []string{"renew, members [node-0 node-1]", "renew, sync quorum [node-1], alias node-0 [node-1]", "wait for [node-1]"}},
	})
}

func TestAdmission(t *testing.T) {
	// newcomer takes node-2 out of the members: it streams, and would be one.
	newcomer := func(more ...func(*scene)) func(*scene) {
		return func(s *scene) {
			s.view().Members.Value = s.view().Members.Value[:2]
			listed("node-1")(s)
			acknowledge("node-1")(s)
			s.view().Alias.Replicas = []decide.Node{"node-1"}
			for _, change := range more {
				change(s)
			}
		}
	}
	check(t, []rule{
		{name: "who is registered, answers and streams", node: "node-0", given: newcomer(), want: []string{"renew, members [node-0 node-1 node-2]"}},
		{name: "not who does not stream", node: "node-0", given: newcomer(streaming(map[decide.Node]decide.LSN{"node-1": 1000})), after: 5 * second},
		{name: "not who does not say so itself", node: "node-0", given: newcomer(func(s *scene) { s.peer("node-2").Streaming = false }), after: 5 * second},
		{name: "not who registered another disk", node: "node-0", given: newcomer(func(s *scene) { s.peer("node-2").ID = "new" }), after: 5 * second},
		{name: "not who is about to leave", node: "node-0", given: newcomer(func(s *scene) { s.peer("node-2").Leaving = true }), after: 5 * second},
		{name: "not beside a lease that was not renewed just now", node: "node-0", given: newcomer(func(s *scene) {
			s.held = true
			s.consul = false
			s.leap(2750 * time.Millisecond)
		}), want: []string{"ask [node-1] for promises"}},
		{name: "a node's new disk replaces its old one", node: "node-0", given: func(s *scene) {
			s.view().Nodes[2].ID, s.peer("node-2").ID = "new", "new"
		}, want: []string{"wait for [node-1]", "renew, members [node-0 node-1 node-2]"}},
		{name: "a standby admits nobody", node: "node-1", given: newcomer(), after: 5 * second, want: []string{"drop slot node-2"}},
	})
}

// TestRemoval of a member, once no acknowledged write depends on it.
func TestRemoval(t *testing.T) {
	s := as("node-0", decide.Quorum).steady()
	play(t, s, []step{
		{name: "it acknowledges no more", given: func(s *scene) { s.ask(decide.Request{Ask: decide.AskLeave, Target: "node-2"}) },
			want: []string{"grant", "wait for [node-1]"}},
		{name: "it leaves the list", given: namesSet, want: []string{"renew, sync quorum [node-1]"}},
		{name: "it is no member", want: []string{"renew, members [node-0 node-1]"}},
		{name: "its name goes", want: []string{"renew, alias node-0 [node-1]"}},
		{name: "its slot stays while it streams", after: 5 * second, want: []string{}},
		{name: "and goes then", given: func(s *scene) {
			streaming(map[decide.Node]decide.LSN{"node-1": 1000})(s)
			s.peer("node-2").Leaving = true
		}, want: []string{"drop slot node-2"}},
		{name: "for good", given: func(s *scene) { s.end(decide.KindDropSlot, decide.OK); s.server().Slots = []decide.Node{"node-1"} }, after: 5 * second, want: []string{}},
	})
}

// TestRemovalOfAllOthers leaves a sole member whose commits wait for nobody.
func TestRemovalOfAllOthers(t *testing.T) {
	s := as("node-0", decide.Quorum).steady()
	play(t, s, []step{
		{name: "its own copy is listed: it alone will have what it acknowledges", given: func(s *scene) { s.ask(decide.Request{Ask: decide.AskAlone}) },
			want: []string{"grant", "renew, sync quorum [node-1 node-2 node-0]"}},
		{name: "commits wait for nobody", want: []string{"wait for []"}},
		{name: "the others are no members", given: namesSet, after: second, want: []string{"renew, members [node-0], sync async []", "remember {Announced:true Sole:true}", "renew, alias node-0 []"}},
		{name: "who streams on is not admitted again", given: remembered, after: 5 * second, want: []string{}},
		{name: "their slots go", given: func(s *scene) { streaming(nil)(s); s.lose("node-1", "node-2") }, after: 5 * second, want: []string{"drop slot node-1"}},
	})
	if got := s.seen.Local.Guard.Deadline; got != decide.Forever {
		t.Errorf("deadline of a sole member: got %s, want forever", got)
	}
}

func TestRequestsToRemove(t *testing.T) {
	check(t, []rule{
		{name: "to a standby", node: "node-1", given: func(s *scene) { s.ask(decide.Request{Ask: decide.AskLeave, Target: "node-2"}) },
			want: []string{"refuse: not the primary; it is node-0"}},
		{name: "of the primary", node: "node-0", given: func(s *scene) { s.ask(decide.Request{Ask: decide.AskLeave, Target: "node-0"}) },
			want: []string{"refuse: the primary must hand over first"}},
		{name: "of who is none", node: "node-0", given: func(s *scene) { s.ask(decide.Request{Ask: decide.AskLeave, Target: "node-9"}) }, want: []string{"grant"}},
	})
}

// TestTheAlias is in a transaction with the lease, and names who streams.
func TestTheAlias(t *testing.T) {
	check(t, []rule{
		{name: "as it should be", node: "node-0", after: 5 * second},
		{name: "it names another", node: "node-0", given: func(s *scene) { s.view().Alias.Primary = "node-1" }, want: []string{"renew, alias node-0 [node-1 node-2]"}},
		{name: "it has another address", node: "node-0", given: func(s *scene) { s.view().Alias.Address = "old" }, want: []string{"renew, alias node-0 [node-1 node-2]"}},
		{name: "the new primary is still among the replicas", node: "node-0", given: func(s *scene) { s.view().Alias.Replicas = []decide.Node{"node-0", "node-1", "node-2"} },
			want: []string{"renew, alias node-0 [node-1 node-2]"}},
		{name: "the new primary in a standby's place", node: "node-0", given: func(s *scene) { s.view().Alias.Replicas = []decide.Node{"node-0", "node-1"} },
			want: []string{"renew, alias node-0 [node-1 node-2]"}},
		{name: "a standby does not stream", node: "node-0", given: streaming(map[decide.Node]decide.LSN{"node-1": 1000}), want: []string{"renew, alias node-0 [node-1]"}},
		{name: "one is catching up", node: "node-0", given: func(s *scene) { s.server().Standbys[1].Streaming = false }, want: []string{"renew, alias node-0 [node-1]"}},
		{name: "one streams that is no member", node: "node-0", mode: decide.Async, given: func(s *scene) {
			s.view().Members.Value = s.view().Members.Value[:2]
			s.peer("node-2").Streaming = false
		}, want: []string{"renew, alias node-0 [node-1]"}},
		{name: "a standby names nobody", node: "node-1", given: func(s *scene) { s.view().Alias.Primary = "node-9" }, after: 5 * second},
		{name: "Consul rejects it: the lease is renewed without it", node: "node-0", given: func(s *scene) {
			s.view().Alias.Primary = "node-1"
			s.held = true
			s.decide()
			s.end(decide.KindWrite, decide.Failed)
			s.leap(second)
			s.held = false
		}, want: []string{}},
	})
}
