package decide

// membership admits nodes whose copy streams and removes those that are to go.
func (t *turn) membership() {
	if t.doubt.members != nil || t.sent.Members != nil {
		return
	}
	if t.alone {
		t.removing = t.allBut(t.removing)
	}
	if t.remove() {
		return
	}
	if t.alone && !t.others() && len(t.in.Local.Server.Standbys) == 0 {
		t.alone = false
	}
	r := t.joining()
	if r == nil || !t.mayAdmit() {
		t.binding = false
		return
	}
	if t.in.Running.Has(KindRemember) {
		return // it may be noting that there is nobody else
	}
	if t.in.Local.Data.Sole {
		memory := t.in.Local.Data.Memory
		memory.Sole = false
		t.do(Remember{Memory: memory})
		return
	}
	// From the moment a second member exists the lease binds this node: first
	// the guard is armed, which guard() does when it sees this. A deadline that it
	// may have had before it was last disarmed proves nothing.
	t.binding = true
	deadline := t.in.Local.Guard.Deadline
	if (deadline == Forever || deadline <= t.disarmedAt.Add(t.cfg.Hold)) && !t.cfg.WithoutFence {
		return
	}
	t.plan.Members = &Entry[Members]{t.view.Members.Index, with(t.view.Members.Value, Member{r.Node, r.ID, r.Address})}
	t.plan.Why = "admits " + string(r.Node)
}

// mayAdmit says whether the lease was renewed just now: a new member has promised
// nothing, so nobody is admitted beside an older one.
func (t *turn) mayAdmit() bool { return t.leaseUntil.Sub(t.now) >= t.cfg.Hold/2 }

// joining returns a registered node whose copy streams and is no member yet.
func (t *turn) joining() *Registration {
	if t.alone {
		return nil
	}
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

// remove takes members out that are to go, once no acknowledged write depends
// on them. It says whether there is one to take out now.
func (t *turn) remove() bool {
	members := t.view.Members.Value
	left := members
	var rest []Node
	for _, node := range t.removing {
		m, found := members.Of(node)
		switch {
		case !found && !t.streams(node) && !t.slotOf(node):
			continue // gone; until then it must not be admitted again
		case found && !hasNode(t.in.Local.Server.SyncNames, node) && (!t.listed(node, m.ID) || t.onlyRemoved()):
			left = without(left, node)
		}
		rest = append(rest, node)
	}
	t.removing = rest
	if len(left) == len(members) || t.plan.Sync != nil {
		return false
	}
	if len(left) == 1 && t.view.Sync.Value.Mode == Quorum {
		t.plan.Sync = &Entry[Sync]{t.view.Sync.Index, Sync{Mode: Async}}
	}
	t.plan.Members = &Entry[Members]{t.view.Members.Index, left}
	t.plan.Why = "removes members"
	return true
}

// allBut returns nodes and every other member that is not among them.
func (t *turn) allBut(nodes []Node) []Node {
	out := nodes
	for _, m := range t.view.Members.Value {
		if m.Node != t.cfg.Node && !hasNode(out, m.Node) {
			out = append(out[:len(out):len(out)], m.Node)
		}
	}
	return out
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
