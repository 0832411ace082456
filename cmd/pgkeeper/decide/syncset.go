package decide

// replication keeps the set of standbys that acknowledge commits.
//
// Consul's list K holds every acknowledged write on at least one of its copies;
// PostgreSQL's set A acknowledges new ones. Always A ⊆ K, so a node enters K
// first and A then. It leaves A first, and K only when some member of A has
// flushed all that was written when the narrower A came into force: writes that
// the leaving copy alone acknowledged are on the others then. The primary's own
// copy is in K from its promotion until another has caught up with it.
//
// A is armed when the first standby streams and never emptied while the mode is
// quorum and another member exists: without a standby commits wait.
func (t *turn) replication() {
	s, k := &t.in.Local.Server, &t.view.Sync
	if t.doubt.sync || t.sent.Sync != nil {
		return // what K will be is not known
	}
	if t.cfg.Mode != Quorum {
		t.disarmSync()
		return
	}
	want := t.acknowledging()
	if len(want) == 0 {
		if t.onlyRemoved() {
			t.emptySync()
		}
		return
	}
	if add := t.lacking(want); add != nil {
		t.plan.Sync = &Entry[Sync]{k.Index, Sync{Quorum, append(copies(k.Value), add...)}}
		return
	}
	if !sameNodes(want, s.SyncNames) {
		t.do(SetSyncNames{Names: want})
		return
	}
	if !sameNodes(want, t.sync.names) || t.sync.mark == 0 {
		t.sync = syncProgress{names: want, mark: s.Written}
	}
	if keep := t.current(want); len(keep) < len(k.Value.Copies) && t.caughtUp(want) {
		t.plan.Sync = &Entry[Sync]{k.Index, Sync{Quorum, keep}}
	}
}

// acknowledging returns the members that should acknowledge: those that stream
// or did a moment ago; when there are none, those that did so far.
func (t *turn) acknowledging() []Node {
	var want []Node
	for _, m := range t.view.Members.Value {
		if m.Node == t.cfg.Node || hasNode(t.removing, m.Node) {
			continue
		}
		if p := t.peer(m.Node); p != nil && p.AnsweredAt != 0 && p.Status.ID != m.ID {
			continue // another disk; it becomes a member anew
		}
		for _, s := range t.streamed {
			if s.node == m.Node && (t.streams(m.Node) || hasNode(t.in.Local.Server.SyncNames, m.Node)) {
				want = append(want, m.Node)
			}
		}
	}
	if want != nil {
		return want
	}
	for _, node := range t.in.Local.Server.SyncNames {
		if _, found := t.view.Members.Value.Of(node); found && !hasNode(t.removing, node) {
			want = append(want, node)
		}
	}
	return want
}

// lacking returns the copies of nodes that K does not list.
func (t *turn) lacking(want []Node) []Copy {
	var add []Copy
	for _, node := range want {
		m, found := t.view.Members.Value.Of(node)
		if found && !t.listed(node, m.ID) {
			add = append(add, Copy{node, m.ID})
		}
	}
	return add
}

// listed says whether K lists a copy.
func (t *turn) listed(node Node, id Identity) bool {
	k := &t.view.Sync.Value
	if k.Mode != Quorum {
		return false
	}
	for _, c := range k.Copies {
		if c.Node == node && c.ID == id {
			return true
		}
	}
	return false
}

// current returns the copies of K that still acknowledge.
func (t *turn) current(want []Node) []Copy {
	var keep []Copy
	for _, c := range t.view.Sync.Value.Copies {
		if hasNode(want, c.Node) && t.view.Members.Value.Has(c.Node, c.ID) {
			keep = append(keep, c)
		}
	}
	return keep
}

// caughtUp says whether an acknowledging standby has all that was written when the set came into force.
func (t *turn) caughtUp(want []Node) bool {
	for _, node := range want {
		if s := t.standby(node); s != nil && s.Streaming && s.Flushed >= t.sync.mark {
			return true
		}
	}
	return false
}

// disarmSync goes over to async replication, which was asked for by configuration.
func (t *turn) disarmSync() {
	k := &t.view.Sync
	switch {
	case len(t.in.Local.Server.SyncNames) > 0:
		t.do(SetSyncNames{})
	case k.Index == 0 || k.Value.Mode != Async:
		t.plan.Sync = &Entry[Sync]{k.Index, Sync{Mode: Async}}
	}
}

// onlyRemoved says whether all other members are to be removed.
func (t *turn) onlyRemoved() bool {
	for _, m := range t.view.Members.Value {
		if m.Node != t.cfg.Node && !hasNode(t.removing, m.Node) {
			return false
		}
	}
	return true
}

// emptySync lets commits wait for nobody, because this node is to be alone. Its
// own copy is listed first: whoever would challenge needs it.
func (t *turn) emptySync() {
	k := &t.view.Sync
	if len(t.in.Local.Server.SyncNames) == 0 {
		if k.Value.Mode == Quorum && t.onlyMember() {
			t.plan.Sync = &Entry[Sync]{k.Index, Sync{Mode: Async}}
		}
		return
	}
	if k.Value.Mode == Quorum && !t.listed(t.cfg.Node, t.me()) {
		t.plan.Sync = &Entry[Sync]{k.Index, Sync{Quorum, append(copies(k.Value), Copy{t.cfg.Node, t.me()})}}
		t.plan.Leader.Value.Previous = Copy{} // has not what will be acknowledged by nobody else
		return
	}
	if k.Value.Mode == Quorum && t.lease().Previous != (Copy{}) {
		t.plan.Leader.Value.Previous = Copy{}
		t.urgent = true
		return
	}
	t.do(SetSyncNames{})
}

// names returns the nodes whose acknowledgement commits wait for from a
// promotion or start on: those that K lists.
func (t *turn) names() []Node {
	k := &t.view.Sync.Value
	if t.cfg.Mode != Quorum || k.Mode != Quorum {
		return nil
	}
	var names []Node
	for _, c := range k.Copies {
		if c.Node != t.cfg.Node && !hasNode(names, c.Node) {
			names = append(names, c.Node)
		}
	}
	return names
}

// armFor returns the change of K that a promotion or start of this node needs,
// or nil: this copy itself, for what it alone may hold, and somebody to
// acknowledge, the survivors that answer or else every other member.
func (t *turn) armFor() *Entry[Sync] {
	k := &t.view.Sync
	if t.cfg.Mode != Quorum || k.Value.Mode != Quorum {
		return nil
	}
	list := copies(k.Value)
	add := func(node Node, id Identity) {
		for _, c := range list {
			if c.Node == node && c.ID == id {
				return
			}
		}
		list = append(list, Copy{node, id})
	}
	if t.in.Local.Data.Standby {
		add(t.cfg.Node, t.me())
	}
	seen := false
	for _, m := range t.view.Members.Value {
		if p := t.peer(m.Node); m.Node != t.cfg.Node && t.fresh(p) && p.Status.ID == m.ID && p.Status.Known {
			seen = true
			add(m.Node, m.ID)
		}
	}
	if !seen && len(t.names()) == 0 {
		for _, m := range t.view.Members.Value {
			if m.Node != t.cfg.Node {
				add(m.Node, m.ID)
			}
		}
	}
	if len(list) == len(k.Value.Copies) {
		return nil
	}
	return &Entry[Sync]{k.Index, Sync{Quorum, list}}
}

func copies(s Sync) []Copy {
	if s.Mode != Quorum {
		return nil
	}
	return append([]Copy(nil), s.Copies...)
}
