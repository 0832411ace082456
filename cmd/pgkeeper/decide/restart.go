package decide

// holder goes by how far this node has come with the lease it holds.
func (t *turn) holder() {
	s, data := &t.in.Local.Server, &t.in.Local.Data
	switch {
	case t.leads():
		t.lead()
	case t.draining && s.State == Gone && !t.handover.active:
		t.renew()
		t.is(Draining, "stopped")
		if t.others() {
			t.release("", "the node is draining")
		}
	case t.draining && t.standsBy():
		t.renew()
		t.is(Draining, "stops its server")
		t.do(StopCleanly{Within: t.cfg.StopWithin})
	case !t.lastPrimary():
		t.takeover()
	case data.Standby:
		t.promote()
	case s.State == Gone:
		t.restart()
	default:
		t.is(Restarting, "its server is "+s.State.String())
		if t.handover.active {
			t.is(HandingOver, "stops its server")
		}
		t.renew()
		t.hurryStart()
	}
}

// restart goes on when the primary's server has ended: hand over to a standby
// that is caught up, for it need not wait, or start again here.
func (t *turn) restart() {
	t.is(Restarting, "its server has ended")
	t.renew()
	if t.handover.active && t.crashedAmid() {
		t.endHandover("the server crashed before it was stopped")
	}
	if t.handover.active {
		t.afterStop()
		return
	}
	if t.starting {
		t.why = "starts its own server again"
		return
	}
	if t.others() && !t.keepLocal {
		heir, wait := t.standIn()
		if heir != "" {
			t.release(heir, "the server has ended; a standby has all of it")
			return
		}
		if wait {
			t.why = "compares with its standbys"
			return
		}
	}
	t.startOwn()
}

// standIn returns a standby that may take over without loss, and whether to wait
// for an answer that is newer than the end of the server.
func (t *turn) standIn() (heir Node, wait bool) {
	data := &t.in.Local.Data
	need := t.written
	if need.Timeline == 0 {
		need = t.lease().Position
	}
	if data.Exact {
		need = data.End
	}
	best := Position{}
	for i := range t.in.Peers {
		p := &t.in.Peers[i]
		if !t.view.Members.Value.Has(p.Node, p.Status.ID) || p.AnsweredAt == 0 {
			continue
		}
		if p.AskedAt < t.goneSince {
			wait = wait || !p.Failing
			continue
		}
		if !t.fresh(p) || !p.Status.Willing || !p.Status.Known || p.Status.Position.Timeline != need.Timeline {
			continue
		}
		lag := LSN(0)
		if p.Status.Position.LSN < need.LSN {
			lag = need.LSN - p.Status.Position.LSN
		}
		allowed := LSN(0)
		if t.startFailures > 0 || t.view.Sync.Value.Mode == Quorum {
			allowed = t.cfg.MaxLag
		}
		if lag <= allowed && (heir == "" || p.Status.Position.Ahead(best)) {
			heir, best = p.Node, p.Status.Position
		}
	}
	if heir != "" && t.view.Sync.Value.Mode == Quorum && !t.allSeen() {
		heir = "" // it could not compare with all that it must
	}
	wait = wait && t.now.Sub(t.goneSince) < 2*t.cfg.Tick
	if wait {
		t.compareSoon()
		heir = ""
	}
	return heir, wait
}

// allSeen says whether every copy that may have acknowledged answers.
func (t *turn) allSeen() bool {
	for _, c := range t.view.Sync.Value.Copies {
		if c.Node == t.cfg.Node {
			if c.ID != t.me() {
				return false
			}
			continue
		}
		if p := t.peer(c.Node); !t.fresh(p) || p.Status.ID != c.ID || !p.Status.Known {
			return false
		}
	}
	return true
}

// startOwn starts this node's own server as the primary that it was.
func (t *turn) startOwn() {
	if t.releasing() {
		t.why = "waits until it is known whether the lease was released"
		return
	}
	until := t.leaseUntil
	if t.sole() {
		until = Forever
	}
	if until.Sub(t.now) < t.cfg.Hold/2 {
		t.why = "waits for a renewal before it starts"
		return
	}
	if change := t.armFor(); change != nil {
		t.plan.Sync = change
		t.why = "notes who may acknowledge before it starts"
		return
	}
	t.why = "starts its own server again"
	if t.cfg.WithoutFence {
		until = Forever
	}
	t.start(Start{Deadline: until, SyncNames: t.names()})
}

// releasing says whether a write that gives the lease up is under way, or may still happen.
func (t *turn) releasing() bool {
	return t.doubt.release || t.sent.Purpose == ReleaseLease || t.sent.Purpose == GiveBack
}

// hurryStart ends a start that takes long when a standby could take over instead.
func (t *turn) hurryStart() {
	s := &t.in.Local.Server
	if s.State != Starting || t.startBegan == 0 || t.now.Sub(t.startBegan) < t.cfg.Hung || !t.others() {
		return
	}
	t.goneSince = t.startBegan
	if heir, _ := t.standIn(); heir != "" {
		// That it has failed is noted once, when it is gone: three failures mean
		// that the data are of no use.
		t.also(Fence{Why: "the start takes long, a standby can take over"})
	}
	t.goneSince = 0
}

// start starts the server through the guard.
func (t *turn) start(a Start) {
	if !t.in.Local.Guard.Reachable {
		t.why = "waits for the guard"
		return
	}
	if a.Standby {
		a.Deadline = Forever
	}
	if t.do(a) {
		t.starting, t.startBegan = true, t.now
	}
}
