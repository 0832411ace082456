package decide

// bootstrap makes the first data of a deployment: initdb is allowed only while
// `initialized` is absent and this node holds the lease. In one transaction with
// the lease it then says whose data count; before that nothing can connect to them.
func (t *turn) bootstrap() {
	data := &t.in.Local.Data
	l := t.lease()
	claim := Identity("bootstrap/" + t.cfg.Node)
	t.is(Bootstrapping, "the deployment has no data yet")
	if data.Present && data.Announced {
		t.is(Waiting, "Consul has lost what it knew of this deployment; an operator must decide")
		return
	}
	if !t.consulAnswers() {
		t.is(Waiting, "Consul does not answer")
		return
	}
	held := t.view.Leader.Index != 0 && !l.Released && (l.Holder == claim || (data.Present && l.Holder == data.Identity))
	if !held {
		if t.view.Leader.Index == 0 || l.Released || t.now.Sub(t.leaderSeen) >= t.cfg.Lease {
			t.plan = Write{Purpose: TakeLease, Why: "bootstrap", Leader: Entry[Leader]{t.view.Leader.Index, Leader{
				Holder: claim, Node: t.cfg.Node, Address: t.cfg.Address, Epoch: l.Epoch + 1, Beat: 1,
			}}, Check: &Unchanged{t.view.Members.Index, t.view.Sync.Index}}
			t.urgent = true
		} else {
			t.is(Waiting, string(l.Node)+" makes the first data")
		}
		return
	}
	t.renew()
	switch {
	case !data.Present:
		t.do(InitDB{})
	case t.in.Local.Server.State == Gone:
		leader := &t.plan.Leader.Value
		leader.Holder, leader.Primary, leader.Position, leader.Reserved = data.Identity, data.Identity, data.End, data.End.Timeline
		t.plan.Initialized = &Initialized{System: data.System}
		t.plan.Members = &Entry[Members]{t.view.Members.Index, Members{{t.cfg.Node, data.Identity, t.cfg.Address}}}
		t.urgent = true
	}
}

// withoutConsul is what a keeper does that has not reached Consul since it
// began: a sole member needs nobody; any other may only stand by.
func (t *turn) withoutConsul() {
	data := &t.in.Local.Data
	s := &t.in.Local.Server
	switch {
	case t.leads():
		t.is(Primary, "as its predecessor left it; Consul does not answer")
		if t.sole() {
			t.is(Sole, "is the only member; Consul does not answer")
		}
		if t.draining {
			t.do(StopCleanly{Within: t.cfg.StopWithin})
		}
	case s.State != Gone:
		t.is(Waiting, "Consul does not answer")
		if t.draining && t.standsBy() {
			t.do(StopCleanly{Within: t.cfg.StopWithin})
		}
	case t.draining:
		t.is(Draining, "stopped")
	case data.Present && t.sole() && !data.Standby:
		t.is(Sole, "is the only member; Consul does not answer")
		t.start(Start{Deadline: Forever})
	case data.Present && data.Standby && !data.Rewinding:
		t.is(Waiting, "Consul does not answer")
		t.start(Start{Standby: true})
	default:
		t.is(Waiting, "Consul does not answer")
	}
}
