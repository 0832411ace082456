package decide

// takeover goes on from the lease to the promotion: end the walreceivers of this
// node and of the survivors, compare again, write down who is primary now.
func (t *turn) takeover() {
	t.is(TakingOver, "holds the lease, not yet promoted")
	t.renew()
	l := t.lease()
	if t.tookEpoch != l.Epoch {
		// Taken by this keeper's predecessor, or by a write thought lost, maybe
		// against a promise: wait until none can be in force.
		if t.now < max(t.promisedUntil, t.began.Add(t.cfg.Lease)) {
			t.why = "waits out what its predecessor may have promised"
			return
		}
		t.tookEpoch, t.tookAt = l.Epoch, t.now
		t.detached = max(t.detached, l.Epoch)
	}
	if t.now.Sub(t.tookAt) > t.cfg.TakeoverWithin {
		// The last primary needs no comparison: where this one cannot end, it can.
		t.giveBack(t.memberWith(l.Primary).Node, "the takeover does not end")
		return
	}
	if t.in.Local.Server.State == Gone {
		t.start(Start{Standby: true})
		return
	}
	if !t.standsBy() {
		return
	}
	if !t.cfg.WithoutReceiverWait {
		t.askSurvivors() // beside this node's own, which takes as long
		if !t.detach() {
			t.why = "ends its walreceiver"
			return
		}
	}
	position, known := t.position()
	if !known {
		return
	}
	if why, heir := t.settle(position); why != "" {
		t.why = why
		if heir != "" {
			t.giveBack(heir, why)
		}
		return
	}
	t.becomePrimary()
	t.urgent = true
	t.why = "writes down that it becomes primary"
}

// settle waits until the survivors' walreceivers have ended and compares again.
// It returns why the promotion must wait, and the node that should have the lease instead.
func (t *turn) settle(position Position) (why string, heir Node) {
	since := t.tookAt - Instant(t.cfg.PeerFresh)
	for i := range t.in.Peers {
		p := &t.in.Peers[i]
		if !t.mustSettle(p) {
			continue
		}
		required := t.required(Copy{p.Node, p.Status.ID}, position, since)
		if settled := p.Status.Detached >= t.lease().Epoch && p.Status.Settled; !settled {
			if !t.cfg.WithoutReceiverWait {
				if required || (t.fresh(p) && t.now.Sub(t.tookAt) < t.cfg.Renew) {
					why = "waits until the walreceiver has ended on " + string(p.Node)
				}
				continue
			}
		}
		if p.Status.Known && p.Status.Position.Ahead(position) && (required || p.Status.Willing) {
			return "behind " + string(p.Node), p.Node
		}
	}
	if t.now < t.forced {
		return "", ""
	}
	if why == "" {
		why = t.compareRequired(position, since)
	}
	return why, ""
}

// askSurvivors asks those to end their walreceivers that have not agreed to yet,
// and looks how far the others have come.
func (t *turn) askSurvivors() {
	var ask []Node
	unsettled := false
	for i := range t.in.Peers {
		p := &t.in.Peers[i]
		if !t.mustSettle(p) {
			continue
		}
		agreed := p.Status.Detached >= t.lease().Epoch
		unsettled = unsettled || !agreed || !p.Status.Settled
		if !agreed {
			ask = append(ask, p.Node)
		}
	}
	if len(ask) > 0 && t.now.Sub(t.detachesAt) >= t.cfg.Tick/2 && t.also(AskDetaches{Nodes: ask, Holder: t.me(), Epoch: t.lease().Epoch}) {
		t.detachesAt = t.now
	}
	if unsettled {
		t.compareSoon()
	}
}

// mustSettle says whether a peer's copy takes part in the comparison at all.
func (t *turn) mustSettle(p *Peer) bool {
	return p.AnsweredAt != 0 && (t.view.Members.Value.Has(p.Node, p.Status.ID) || t.listed(p.Node, p.Status.ID))
}

// detach ends this node's walreceiver for the highest epoch asked for; it says
// whether that is done.
func (t *turn) detach() bool {
	s := &t.in.Local.Server
	if s.Upstream == "" && s.ReceiverGone {
		return s.Drained && !t.busy
	}
	t.do(Detach{Epoch: t.detached})
	return false
}

// promote makes this node the primary, which Consul names already.
func (t *turn) promote() {
	t.is(TakingOver, "is named primary, not yet promoted")
	t.renew()
	s, guard := &t.in.Local.Server, &t.in.Local.Guard
	if t.promoteFailed && t.others() {
		t.afterPromotion()
		return
	}
	switch {
	case s.State == Gone:
		t.start(Start{Standby: true})
	case t.promoting:
		t.why = "is being promoted"
	case t.releasing():
		t.why = "waits until it is known whether the lease was released"
	case !t.standsBy():
	case t.lease().Reserved <= s.Timeline:
		// The number was used: this was a primary already, and stands by only
		// because its keeper did not know.
		t.becomePrimary()
		t.urgent = true
	case guard.Deadline == Forever && !t.cfg.WithoutFence:
		t.why = "waits for the guard to be armed"
	case min(guard.Deadline, t.leaseUntil).Sub(t.now) < t.cfg.Hold/3:
		t.why = "waits for a renewal"
	default:
		if t.do(Promote{Timeline: t.lease().Reserved, SyncNames: t.names(), Slots: t.followers()}) {
			t.promoting, t.promoteBegan = true, t.now
		}
	}
}

// afterPromotion gives the lease up once a promotion has failed. Whether it was
// the server's end before or after it accepted writes is seen on the disk, which
// matters where the last primary's end is known: whoever has all of that has all.
func (t *turn) afterPromotion() {
	switch {
	case t.in.Local.Server.State != Gone:
	case t.inherited.epoch == t.lease().Epoch && !t.in.Local.Data.Ended && t.now.Sub(t.goneSince) < t.cfg.Heir:
		t.why = "looks whether its promotion had come before its server ended"
	default:
		t.release("", "the promotion failed")
	}
}

// followers returns the members that answer: those will follow this node at once.
func (t *turn) followers() []Node {
	var nodes []Node
	for _, m := range t.view.Members.Value {
		if m.Node != t.cfg.Node && t.fresh(t.peer(m.Node)) {
			nodes = append(nodes, m.Node)
		}
	}
	return nodes
}
