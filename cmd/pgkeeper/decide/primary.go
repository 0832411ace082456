package decide

// lead keeps a running primary in order: renew, hand over when asked to, note
// members and who may acknowledge, name it in DNS, keep slots.
func (t *turn) lead() {
	t.is(Primary, "holds the lease")
	if t.sole() {
		t.is(Sole, "is the only member")
	}
	t.renew()
	t.noteStreams()
	t.leaveFullDisk()
	if t.handover.active || t.draining {
		t.handOver()
		return
	}
	t.remember()
	t.replication()
	t.membership()
	t.alias()
	t.slots()
}

// noteStreams remembers when each standby was last seen streaming.
func (t *turn) noteStreams() {
	var seen []streamed
	for _, old := range t.streamed {
		if s := t.standby(old.node); (s == nil || !s.Streaming) && t.now.Sub(old.at) <= t.cfg.SyncGrace {
			seen = append(seen, old)
		}
	}
	for _, s := range t.in.Local.Server.Standbys {
		if s.Streaming {
			seen = append(seen, streamed{s.Node, t.now})
		}
	}
	t.streamed = seen
}

// standby returns a node's row of pg_stat_replication, or nil.
func (t *turn) standby(node Node) *Standby {
	rows := t.in.Local.Server.Standbys
	for i := range rows {
		if rows[i].Node == node {
			return &rows[i]
		}
	}
	return nil
}

// streams says whether a node streams now.
func (t *turn) streams(node Node) bool {
	s := t.standby(node)
	return s != nil && s.Streaming
}

// remember keeps the note on the disk that this copy is the only member. It is
// written only when no write that could add one can still happen.
func (t *turn) remember() {
	data := &t.in.Local.Data
	memory := data.Memory
	memory.Announced = memory.Announced || data.System == t.view.Initialized.Value.System
	if t.onlyMember() && t.renewedAt != 0 &&
		!t.doubt.any && t.sent.Members == nil && t.joining() == nil {
		memory.Sole = true
	}
	if memory != data.Memory {
		t.do(Remember{Memory: memory})
	}
}

// alias names this node as the primary, and the standbys that stream, in DNS.
func (t *turn) alias() {
	have := &t.view.Alias
	replicas, same := 0, true
	for _, m := range t.view.Members.Value {
		if m.Node != t.cfg.Node && t.streams(m.Node) {
			replicas++
			same = same && hasNode(have.Replicas, m.Node)
		}
	}
	if same && replicas == len(have.Replicas) && have.Primary == t.cfg.Node && have.Address == t.cfg.Address {
		return
	}
	want := Alias{Primary: t.cfg.Node, Address: t.cfg.Address}
	for _, m := range t.view.Members.Value {
		if m.Node != t.cfg.Node && t.streams(m.Node) {
			want.Replicas = append(want.Replicas, m.Node)
		}
	}
	t.plan.Alias = &want
}

func sameNodes(a, b []Node) bool {
	if len(a) != len(b) {
		return false
	}
	for _, node := range a {
		if !hasNode(b, node) {
			return false
		}
	}
	return true
}
