package decide_test

import (
	"testing"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// TestStandbySlots: a standby that streams has the slots that the others need
// should it become the primary.
func TestStandbySlots(t *testing.T) {
	with := func(slots ...decide.Node) func(*scene) { return func(s *scene) { s.server().Slots = slots } }
	check(t, []rule{
		{name: "none yet", node: "node-1", given: with(), want: []string{"create slot node-0"}},
		{name: "one is missing", node: "node-1", given: with("node-0"), want: []string{"create slot node-2"}},
		{name: "one of no member", node: "node-1", given: with("node-0", "node-2", "node-7"), want: []string{"drop slot node-7"}},
		{name: "all", node: "node-1", given: with("node-0", "node-2"), want: []string{}},
		{name: "it does not stream", node: "node-1", given: func(s *scene) { with()(s); s.server().Streaming = false }, want: []string{}},
	})
	s := as("node-1", decide.Quorum)
	s.pass(50 * second)
	advanced := 0
	for _, a := range s.asked {
		if _, ok := a.(decide.AdvanceSlots); ok {
			advanced++
		}
	}
	if advanced != 3 {
		t.Errorf("slots are advanced %d times in 50 s, want 3", advanced)
	}
}
