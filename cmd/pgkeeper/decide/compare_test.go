package decide_test

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// listed sets who may have acknowledged.
func listed(nodes ...decide.Node) func(*scene) {
	return func(s *scene) {
		s.view().Sync.Value.Copies = nil
		for _, n := range nodes {
			s.view().Sync.Value.Copies = append(s.view().Sync.Value.Copies, copyOn(n))
		}
	}
}

// positionOf sets how far a peer has come.
func positionOf(node decide.Node, p decide.Position) func(*scene) {
	return func(s *scene) { s.peer(node).Position = p }
}

// mine sets how far this node's standby has come.
func mine(timeline uint32, received, replayed decide.LSN) func(*scene) {
	return func(s *scene) {
		s.server().Timeline, s.server().Received, s.server().Replayed = timeline, received, replayed
	}
}

func lost(nodes ...decide.Node) func(*scene) { return func(s *scene) { s.lose(nodes...) } }

// TestComparison of a standby with the others before it takes the lease of a
// primary that is dead. It takes 8 s: a lease, and the second that equals leave each other.
func TestComparison(t *testing.T) {
	take := []string{"Detach", "take 4", "ask [node-0 node-2] to detach"}
	check(t, []rule{
		{name: "equal to the others", node: "node-1", given: primaryDied(), after: 8 * second, want: take},
		{name: "a later timeline counts more than a position", node: "node-1", given: primaryDied(positionOf("node-2", at(2, 10))), after: 60 * second,
			why: "a copy that may have acknowledged writes is ahead: node-2", want: []string{"Detach"}},
		{name: "and less of an earlier one", node: "node-1", given: primaryDied(positionOf("node-2", at(2, 9000)), mine(3, 100, 100)), after: 8 * second, want: take},
		{name: "on the same timeline the position decides", node: "node-1", given: primaryDied(positionOf("node-2", at(1, 1001))), after: 60 * second,
			why: "is ahead: node-2", want: []string{"Detach"}},
		{name: "the greater of received and replayed is this node's", node: "node-1", given: primaryDied(mine(1, 0, 1000)), after: 8 * second, want: take},
		{name: "received steps back to a segment's start", node: "node-1", given: primaryDied(mine(1, 512, 1000)), after: 8 * second, want: take},
		{name: "who may have acknowledged does not answer", node: "node-1", given: primaryDied(lost("node-2")), after: 60 * second,
			why: "cannot be compared: node-2", want: []string{"Detach"}},
		{name: "who cannot have acknowledged does not answer", node: "node-1", given: primaryDied(lost("node-2"), listed("node-1")), after: 8 * second,
			want: take},
		{name: "who may have acknowledged has another disk", node: "node-1", given: primaryDied(func(s *scene) { s.peer("node-2").ID = "new" }), after: 60 * second,
			why: "cannot be compared: node-2", want: []string{"Detach"}},
		{name: "who may have acknowledged does not know how far it is", node: "node-1", given: primaryDied(func(s *scene) { s.peer("node-2").Known = false }), after: 60 * second,
			why: "cannot be compared: node-2", want: []string{"Detach"}},
		{name: "who may have acknowledged is ahead, but unwilling", node: "node-1", given: primaryDied(positionOf("node-2", at(1, 1001)), func(s *scene) { s.peer("node-2").Willing = false }),
			after: 60 * second, why: "is ahead: node-2", want: []string{"Detach"}},
		{name: "this node cannot have acknowledged and has all", node: "node-1", given: primaryDied(listed("node-2")), after: 8 * second, want: take},
		{name: "this node cannot have acknowledged and is behind", node: "node-1", given: primaryDied(listed("node-2"), mine(1, 999, 999)), after: 60 * second,
			why: "is ahead: node-2", want: []string{"Detach"}},
		{name: "the lost primary's own copy is listed", node: "node-1", given: primaryDied(listed("node-0", "node-2")), after: 60 * second,
			why: "cannot be compared: node-0", want: []string{"Detach"}},
		{name: "and the primary before it stands in", node: "node-1", given: primaryDied(listed("node-0", "node-2"), func(s *scene) { s.leader().Previous = copyOn("node-2") }), after: 8 * second,
			want: take},
		{name: "or this node, that was the primary before it", node: "node-1", given: primaryDied(listed("node-0", "node-2"), func(s *scene) { s.leader().Previous = copyOn("node-1") }), after: 8 * second,
			want: take},
		{name: "the primary before it is ahead", node: "node-1", given: primaryDied(listed("node-0"), positionOf("node-2", at(1, 1001)), func(s *scene) { s.leader().Previous = copyOn("node-2") }), after: 60 * second,
			why: "cannot be compared: node-0", want: []string{"Detach"}},
		{name: "it does not stand in for others", node: "node-1", given: primaryDied(lost("node-2"), listed("node-2"), func(s *scene) { s.leader().Previous = copyOn("node-1") }), after: 60 * second,
			why: "cannot be compared: node-2", want: []string{"Detach"}},
	})
}

// TestAnOldPosition: how far another copy had come before the last server ended says
// nothing of what it acknowledged since, though its node was asked afterwards.
func TestAnOldPosition(t *testing.T) {
	justNow := func(age time.Duration) func(*scene) {
		return func(s *scene) {
			released("", false)(s)
			s.peer("node-2").Age = age
		}
	}
	direct := []string{"take 4, primary, sync quorum [node-1 node-2 node-0]"}
	check(t, []rule{
		{name: "read now", node: "node-1", given: justNow(0), want: direct},
		{name: "read before", node: "node-1", given: justNow(20 * time.Millisecond), why: "cannot be compared: node-2", want: []string{}},
		{name: "read again since", node: "node-1", given: justNow(20 * time.Millisecond), after: second / 4, want: direct},
		{name: "by a clock that may be slow", node: "node-1", given: justNow(240 * time.Millisecond), after: second / 4, why: "cannot be compared: node-2", want: []string{}},
		{name: "read long ago by a server that hangs", node: "node-1", given: justNow(5 * second), after: 4 * second, why: "cannot be compared: node-2", want: []string{}},
	})
}

// TestAsyncComparison: nobody must be compared, but who answers is; and what is missing is bounded.
func TestAsyncComparison(t *testing.T) {
	take := []string{"Detach", "take 4", "ask [node-0 node-2] to detach"}
	published := func(timeline uint32, lsn decide.LSN, fork decide.Position) func(*scene) {
		return func(s *scene) { s.leader().Position, s.leader().Fork = at(timeline, lsn), fork }
	}
	const limit = decide.LSN(16 << 20)
	rules := []rule{
		{name: "nobody else answers", given: primaryDied(lost("node-2")), after: 8 * second, want: take},
		{name: "another is ahead and willing", given: primaryDied(positionOf("node-2", at(1, 1001))), after: 60 * second, why: "further ahead: node-2", want: []string{"Detach"}},
		{name: "another is ahead and promised not to challenge", given: primaryDied(positionOf("node-2", at(1, 1001)), func(s *scene) {
			s.peer("node-2").Willing, s.peer("node-2").Promised = false, true
		}), after: 60 * second, why: "further ahead: node-2", want: []string{"Detach"}},
		{name: "another is ahead and could not take over", given: primaryDied(positionOf("node-2", at(1, 1001)), func(s *scene) { s.peer("node-2").Willing = false }), after: 8 * second, want: take},
		{name: "who is ahead is no member", given: primaryDied(positionOf("node-2", at(1, 1001)), func(s *scene) { s.view().Members.Value = s.view().Members.Value[:2] }), after: 8 * second,
			want: []string{"Detach", "take 4", "ask [node-0] to detach"}},
		{name: "just within the limit", given: primaryDied(published(1, 1000+limit, decide.Position{})), after: 8 * second, want: take},
		{name: "a byte beyond it", given: primaryDied(published(1, 1001+limit, decide.Position{})), after: 60 * second, why: "too far behind the lost primary", want: []string{"Detach"}},
		{name: "a later timeline than the lost primary's misses nothing of it", given: primaryDied(published(1, 1000+2*limit, decide.Position{}), mine(2, 100, 100)), after: 8 * second, want: take},
		{name: "from the fork on all is missing", given: primaryDied(published(2, 1500, at(1, 900))), after: 8 * second, want: take},
		{name: "and that may be too much", given: primaryDied(published(2, 1001+limit, at(1, 900))), after: 60 * second, why: "too far behind", want: []string{"Detach"}},
		{name: "a history that cannot be compared", given: primaryDied(published(3, 1500, at(2, 900))), after: 60 * second, why: "too far behind", want: []string{"Detach"}},
		{name: "released with a final position that this node has", given: released("", true), want: []string{"take 4, primary"}},
		{name: "released with one that it has not", given: func(s *scene) { released("", true)(s); s.leader().Position = at(1, 1200) }, after: 5 * second,
			why: "leaves the lease to a node that has all of the last primary's log"},
		{name: "and that nobody has in time", given: func(s *scene) { released("", true)(s); s.leader().Position = at(1, 1200) }, after: 6 * second, want: []string{"take 4, primary"}},
	}
	for i := range rules {
		rules[i].node, rules[i].mode = "node-1", decide.Async
	}
	check(t, rules)
}

// TestForcedFailover skips the comparison, never the lease.
func TestForcedFailover(t *testing.T) {
	force := func(force bool) func(*scene) {
		return func(s *scene) { s.ask(decide.Request{Ask: decide.AskFailover, Force: force}) }
	}
	behind := func(change func(*scene)) func(*scene) {
		return func(s *scene) {
			primaryDied(lost("node-2"))(s)
			s.pass(10 * second)
			s.leap(s.cfg.Tick)
			change(s)
		}
	}
	check(t, []rule{
		{name: "while the lease is held", node: "node-1", given: force(true), want: []string{"refuse: the lease is held"}},
		{name: "by the holder", node: "node-0", given: force(true), want: []string{"refuse: this node holds the lease"}},
		{name: "by a node that is no member", node: "node-1", given: func(s *scene) { s.data().Identity = "new"; force(true)(s) }, want: []string{"refuse: no member", `register "new"`}},
		{name: "a copy cannot be compared, not forced", node: "node-1", given: behind(force(false)), after: 10 * second, want: []string{"grant"}, why: "cannot be compared: node-2"},
		{name: "a copy cannot be compared, forced", node: "node-1", given: behind(force(true)), want: []string{"grant", "take 4"}},
		{name: "repmgr's election decides nothing by itself", node: "node-1", given: func(s *scene) { s.ask(decide.Request{Ask: decide.AskTrigger}) }, want: []string{"refuse: the lease is held"}},
		{name: "nor skips the comparison", node: "node-1", given: behind(func(s *scene) { s.ask(decide.Request{Ask: decide.AskTrigger}) }), after: 10 * second, want: []string{"grant"}, why: "cannot be compared: node-2"},
	})
}

func TestPositions(t *testing.T) {
	for name, tc := range map[string]struct {
		a, b decide.Position
		want bool
	}{
		"a later timeline":            {at(2, 1), at(1, 9), true},
		"an earlier timeline":         {at(1, 9), at(2, 1), false},
		"further on the same":         {at(1, 9), at(1, 8), true},
		"as far on the same":          {at(1, 9), at(1, 9), false},
		"anything against nothing":    {at(1, 1), decide.Position{}, true},
		"nothing against anything":    {decide.Position{}, at(1, 1), false},
		"beyond the first four bytes": {at(1, 1<<32), at(1, 1<<32-1), true},
	} {
		if got := tc.a.Ahead(tc.b); got != tc.want {
			t.Errorf("%s: %s ahead of %s: got %v, want %v", name, tc.a, tc.b, got, tc.want)
		}
	}
}
