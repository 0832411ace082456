package decide_test

import (
	"reflect"
	"testing"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// TestStandbySlots: a standby that streams has the slots that the others need
// should it become the primary.
func TestStandbySlots(t *testing.T) {
	for name, tc := range map[string]struct {
		streaming bool
		have      []decide.Node
		want      decide.Action
	}{
		"none yet":            {true, nil, decide.CreateSlot{Node: "node-0"}},
		"one is missing":      {true, []decide.Node{"node-0"}, decide.CreateSlot{Node: "node-2"}},
		"one of no member":    {true, []decide.Node{"node-0", "node-2", "node-7"}, decide.DropSlot{Node: "node-7"}},
		"all, advanced never": {true, []decide.Node{"node-0", "node-2"}, decide.AdvanceSlots{}},
		"it does not stream":  {false, nil, nil},
		"one of its own":      {true, []decide.Node{"node-0", "node-1", "node-2"}, decide.AdvanceSlots{}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, seen := scene("node-1")
			seen.Peers[0].Status.Writable, seen.Peers[0].Status.Epoch = true, 3
			s := &seen.Local.Server
			s.Upstream, s.UpstreamEpoch, s.Streaming, s.ReceiverGone, s.Slots = "node-0", 3, tc.streaming, !tc.streaming, tc.have
			_, actions := decide.Decide(cfg, decide.State{}, seen)
			var got decide.Action
			for _, a := range actions {
				switch a.(type) {
				case decide.CreateSlot, decide.DropSlot, decide.AdvanceSlots:
					got = a
				}
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %#v, want %#v", got, tc.want)
			}
		})
	}
}
