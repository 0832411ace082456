package decide

// membership admits nodes whose copy streams and removes those that are to go.
func (t *turn) membership() {
	if t.doubt.members != nil || t.sent.Members != nil {
		return
	}
	if t.remove() {
		return
	}
	r := t.joining()
	if r == nil {
		return
	}
	if t.in.Local.Data.Sole {
		// From the moment a second member exists the lease binds this node.
		memory := t.in.Local.Data.Memory
		memory.Sole = false
		t.do(Remember{Memory: memory})
		return
	}
	if t.in.Local.Guard.Deadline == Forever && !t.cfg.WithoutFence {
		return // armed by guard(), as this node is not sole any more
	}
	t.plan.Members = &Entry[Members]{t.view.Members.Index, with(t.view.Members.Value, Member{r.Node, r.ID, r.Address})}
	t.plan.Why = "admits " + string(r.Node)
}

// joining returns a registered node whose copy streams and is no member yet.
func (t *turn) joining() *Registration {
	for i := range t.view.Nodes {
		r := &t.view.Nodes[i]
		if r.Node == t.cfg.Node || r.ID == "" || hasNode(t.removing, r.Node) || t.view.Members.Value.Has(r.Node, r.ID) {
			continue
		}
		p := t.peer(r.Node)
		if t.streams(r.Node) && t.fresh(p) && p.Status.ID == r.ID && p.Status.Streaming && !p.Status.Leaving {
			return r
		}
	}
	return nil
}

// remove takes a member out that is to go, once no acknowledged write depends
// on it. It says whether there is one.
func (t *turn) remove() bool {
	var rest []Node
	for _, node := range t.removing {
		m, found := t.view.Members.Value.Of(node)
		if !found {
			if t.streams(node) || t.slotOf(node) {
				rest = append(rest, node) // not to be admitted again
			}
			continue
		}
		rest = append(rest, node)
		if t.plan.Members != nil || t.plan.Sync != nil || hasNode(t.in.Local.Server.SyncNames, node) {
			continue
		}
		left := without(t.view.Members.Value, node)
		if t.listed(node, m.ID) {
			if len(left) > 1 {
				continue // narrowed by replication()
			}
			t.plan.Sync = &Entry[Sync]{t.view.Sync.Index, Sync{Mode: Async}}
		}
		t.plan.Members = &Entry[Members]{t.view.Members.Index, left}
		t.plan.Why = "removes " + string(node)
	}
	t.removing = rest
	return t.plan.Members != nil
}

func (t *turn) slotOf(node Node) bool { return hasNode(t.in.Local.Server.Slots, node) }

// with returns the members with one added or replaced.
func with(members Members, one Member) Members {
	out := append(without(members, one.Node), one)
	sortMembers(out)
	return out
}

// without returns the members but the one on node.
func without(members Members, node Node) Members {
	out := make(Members, 0, len(members)+1)
	for _, m := range members {
		if m.Node != node {
			out = append(out, m)
		}
	}
	return out
}

func sortMembers(members Members) {
	for i := 1; i < len(members); i++ {
		for j := i; j > 0 && members[j].Node < members[j-1].Node; j-- {
			members[j], members[j-1] = members[j-1], members[j]
		}
	}
}

// register keeps this node's own registration.
func (t *turn) register() {
	if !t.consulAnswers() || t.now < t.retryAt {
		return
	}
	want := Registration{Node: t.cfg.Node, ID: t.me(), Address: t.cfg.Address, StatusPort: t.cfg.StatusPort}
	for _, r := range t.view.Nodes {
		if r == want {
			return
		}
	}
	if want == t.registration && t.now.Sub(t.registeredAt) < 2*t.cfg.Renew {
		return // asked for; the reading is older
	}
	if t.also(Register{Registration: want}) {
		t.registration, t.registeredAt = want, t.now
	}
}
