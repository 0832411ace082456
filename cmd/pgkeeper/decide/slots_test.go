package decide_test

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

func slotsFor(nodes ...decide.Node) func(*scene) {
	return func(s *scene) { s.server().Slots = nodes }
}

// TestSlots of a primary: a slot that nobody reads keeps log for ever.
func TestSlots(t *testing.T) {
	// two has node-2 be no member, and not stream.
	two := func(more ...func(*scene)) func(*scene) {
		return func(s *scene) {
			s.view().Members.Value, s.view().Alias.Replicas = s.view().Members.Value[:2], []decide.Node{"node-1"}
			streaming(map[decide.Node]decide.LSN{"node-1": 1000})(s)
			for _, change := range more {
				change(s)
			}
		}
	}
	check(t, []rule{
		{name: "for each member", node: "node-0", given: slotsFor("node-2"), want: []string{"create slot node-1"}},
		{name: "one at a time", node: "node-0", given: slotsFor(), after: 5 * second, want: []string{"create slot node-1"}},
		{name: "for a member that is away", node: "node-0", given: func(s *scene) {
			lost("node-1")(s)
			streaming(map[decide.Node]decide.LSN{"node-2": 1000})(s)
		}, after: 2500 * time.Millisecond, want: []string{"renew, alias node-0 [node-2]"}},
		{name: "for a registered node that is about to clone", node: "node-0", mode: decide.Async, given: two(slotsFor("node-1")), want: []string{"create slot node-2"}},
		{name: "not for one that is about to leave", node: "node-0", mode: decide.Async, given: two(func(s *scene) { s.peer("node-2").Leaving = true }), want: []string{"drop slot node-2"}},
		{name: "not for one that answers no more", node: "node-0", mode: decide.Async, given: two(lost("node-2"), func(s *scene) { s.pass(2250 * time.Millisecond); s.leap(s.cfg.Tick) }), after: second / 4,
			want: []string{"drop slot node-2"}},
		{name: "while it streams it stays", node: "node-0", mode: decide.Async, given: func(s *scene) {
			two(lost("node-2"))(s)
			s.peer("node-2").ID = "new" // it is no member, and not to be one
			streaming(map[decide.Node]decide.LSN{"node-1": 1000, "node-2": 1000})(s)
		}, after: 10 * second},
	})
}

// TestStandbySlots: a standby that streams has the slots that the others need
// should it become the primary.
func TestStandbySlots(t *testing.T) {
	check(t, []rule{
		{name: "none yet", node: "node-1", given: slotsFor(), want: []string{"create slot node-0"}},
		{name: "one is missing", node: "node-1", given: slotsFor("node-0"), want: []string{"create slot node-2"}},
		{name: "one of no member", node: "node-1", given: slotsFor("node-0", "node-2", "node-7"), want: []string{"drop slot node-7"}},
		{name: "it does not stream", node: "node-1", given: func(s *scene) { slotsFor()(s); s.server().Streaming = false }, after: 3 * second},
	})
	s := as("node-1", decide.Quorum)
	advances := 0
	for _, a := range s.pass(60 * second) {
		if a.Kind() == decide.KindAdvanceSlots {
			advances++
		}
	}
	if advances != 4 {
		t.Errorf("slots advanced in a minute: got %d times, want 4", advances)
	}
}
