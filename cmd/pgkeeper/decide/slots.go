package decide

import "time"

// slotsEvery is how often a standby gives up log that its slots hold.
const slotsEvery = 20 * time.Second

// slots makes slots for the members and for nodes that are about to be, and drops
// those of nodes that are gone: a slot that nobody reads keeps log for ever.
func (t *turn) slots() {
	have := t.in.Local.Server.Slots
	for _, r := range t.view.Nodes {
		if !hasNode(have, r.Node) && t.needsSlot(r.Node) {
			t.also(CreateSlot{Node: r.Node})
			return
		}
	}
	for _, node := range have {
		if !t.needsSlot(node) && !t.streams(node) {
			t.also(DropSlot{Node: node})
			return
		}
	}
}

// needsSlot says whether a node streams from this one or may begin to: a member
// in any case, another while its keeper answers, unless it is about to leave.
func (t *turn) needsSlot(node Node) bool {
	if node == t.cfg.Node || hasNode(t.removing, node) {
		return false
	}
	_, member := t.view.Members.Value.Of(node)
	p := t.peer(node)
	return member || t.fresh(p) && !p.Status.Leaving
}

// standbySlots keeps, on a standby that streams, the slots that the other members
// will need when this node becomes the primary: making one takes several syncs of
// the disk, for which nobody should wait then.
func (t *turn) standbySlots() {
	have := t.in.Local.Server.Slots
	for _, m := range t.view.Members.Value {
		if m.Node != t.cfg.Node && !hasNode(have, m.Node) {
			t.also(CreateSlot{Node: m.Node})
			return
		}
	}
	for _, node := range have {
		if _, member := t.view.Members.Value.Of(node); !member {
			t.also(DropSlot{Node: node})
			return
		}
	}
	if len(have) > 0 && t.now.Sub(t.slotsAt) >= slotsEvery && t.also(AdvanceSlots{}) {
		t.slotsAt = t.now
	}
}
