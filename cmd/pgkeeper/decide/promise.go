package decide

// challengers calls yield with each other member that may challenge, those included whose
// admission is in doubt or under way. A node may come more than once.
func (t *turn) challengers(yield func(Node) bool) {
	for _, members := range [...]Members{t.view.Members.Value, t.doubt.members, t.sent.members()} {
		for _, m := range members {
			if m.Node != t.cfg.Node && !yield(m.Node) {
				return
			}
		}
	}
}

// members returns the members that a write sets.
func (w *Write) members() Members {
	if w.Members == nil {
		return nil
	}
	return w.Members.Value
}

// promisesUntil is how long the members' promises carry: all of them must have
// promised, and the oldest counts, from the start of its request.
func (t *turn) promisesUntil() Instant {
	if t.gotEpoch != t.lease().Epoch || len(t.got) == 0 {
		return 0
	}
	oldest := Forever
	for node := range t.challengers {
		at := Instant(0)
		for _, p := range t.got {
			if p.node == node {
				at = p.at
			}
		}
		oldest = min(oldest, at)
	}
	if oldest == Forever || oldest == 0 {
		return 0
	}
	return oldest.Add(t.cfg.Hold)
}

// promises asks the members for theirs while renewals fail.
func (t *turn) promises() {
	if !t.mine() || !t.mayWrite() || t.sole() {
		return
	}
	if t.now.Sub(max(t.renewedAt, t.began)) < t.cfg.Renew*3/2 || t.now.Sub(t.askedAt) < t.cfg.Renew/2 || t.now >= t.until() {
		return
	}
	var nodes []Node
	for node := range t.challengers {
		if !hasNode(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	if len(nodes) > 0 && t.also(AskPromises{Nodes: nodes, Holder: t.me(), Epoch: t.lease().Epoch}) {
		t.askedAt = t.now
	}
}

// promised notes a member's answer.
func (t *turn) promised(a AskPromises, r *Result) {
	if r.Node == "" || r.Outcome != OK {
		return
	}
	var got []gotPromise
	if t.gotEpoch == a.Epoch {
		for _, p := range t.got {
			if p.node != r.Node {
				got = append(got, p)
			}
		}
	}
	t.gotEpoch = a.Epoch
	t.got = append(got, gotPromise{r.Node, r.Started})
}

// promise answers the holder that asks this node not to challenge.
func (t *turn) promise(q *Request) {
	why := ""
	l := t.lease()
	switch {
	case q.Epoch < l.Epoch || q.Epoch < t.detached:
		why = "the lease has passed on"
	case q.Epoch == l.Epoch && q.Holder != l.Holder:
		why = "another holds the lease of this epoch"
	case q.Epoch == l.Epoch && l.Released:
		why = "the lease was released"
	case t.sent.Purpose == TakeLease || t.doubt.take:
		why = "this node is taking the lease"
	case t.mayWrite() || t.mine():
		why = "this node holds the lease"
	case t.in.Local.Server.State != Gone && t.in.Local.Guard.Deadline != Forever:
		why = "a takeover of this node may be under way"
	}
	if why == "" && !t.cfg.WithoutPromises {
		t.promisedUntil = max(t.promisedUntil, t.now.Add(t.cfg.Lease))
	}
	t.actions = append(t.actions, Reply{ID: q.ID, Granted: why == "", Why: why})
}

func hasNode(nodes []Node, node Node) bool {
	for _, n := range nodes {
		if n == node {
			return true
		}
	}
	return false
}
