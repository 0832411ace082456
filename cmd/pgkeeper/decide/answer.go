package decide

import "time"

// answer takes in requests of operators, peers and repmgrd.
func (t *turn) answer() {
	for i := range t.in.Requests {
		q := &t.in.Requests[i]
		switch q.Ask {
		case AskPromise:
			t.promise(q)
		case AskDetach:
			t.askedToDetach(q)
		case AskSwitchover:
			t.askedToSwitch(q)
		case AskFailover, AskTrigger:
			t.askedToTakeOver(q)
		case AskDrain:
			t.draining, t.drainID = true, q.ID
		case AskUndrain:
			t.draining, t.drainID = false, 0
			t.reply(q, "")
		case AskLeave:
			t.askedToRemove(q, q.Target)
		case AskAlone:
			t.askedToRemove(q, "")
		}
	}
	t.drained()
}

func (t *turn) reply(q *Request, refusal string) {
	t.actions = append(t.actions, Reply{ID: q.ID, Granted: refusal == "", Why: refusal})
}

// askedToDetach notes that a peer takes over; the status tells it when the receiver has gone.
func (t *turn) askedToDetach(q *Request) {
	switch {
	case q.Epoch < t.lease().Epoch || q.Epoch < t.detached:
		t.reply(q, "the lease has passed on")
	case t.mayWrite() && t.mine():
		t.reply(q, "this node holds the lease")
	default:
		t.detached = q.Epoch
		t.reply(q, "")
	}
}

// askedToSwitch begins a switchover; its reply comes when it has ended.
func (t *turn) askedToSwitch(q *Request) {
	switch {
	case !t.mine() || !t.leads():
		t.reply(q, "not the primary; it is "+string(t.lease().Node))
	case t.handover.active || t.draining:
		t.reply(q, "a switchover is under way")
	default:
		p := t.successor(q.Target, anyPeer)
		if p == nil {
			t.reply(q, "no standby is fit to take over")
			return
		}
		t.handover = handover{active: true, target: p.Node, id: q.ID, began: t.now}
	}
}

// askedToTakeOver is a trigger beside the keeper's own. Whoever triggers, the
// lease decides: it must be free. Only an operator's force skips the comparison.
func (t *turn) askedToTakeOver(q *Request) {
	refusal := t.unfit()
	if refusal == "" && t.mine() {
		refusal = "this node holds the lease"
	}
	if refusal == "" {
		refusal = t.notFree()
	}
	if refusal == "" && q.Ask == AskFailover && q.Force {
		t.forced = t.now.Add(30 * time.Second)
	}
	if refusal == "" {
		t.compareSoon()
	}
	t.reply(q, refusal)
}

// askedToRemove notes members that are to go.
func (t *turn) askedToRemove(q *Request, target Node) {
	if !t.mine() || !t.leads() {
		t.reply(q, "not the primary; it is "+string(t.lease().Node))
		return
	}
	if target == t.cfg.Node {
		t.reply(q, "the primary must hand over first")
		return
	}
	removing := append([]Node(nil), t.removing...)
	for _, m := range t.view.Members.Value {
		if m.Node != t.cfg.Node && (target == "" || target == m.Node) && !hasNode(removing, m.Node) {
			removing = append(removing, m.Node)
		}
	}
	t.removing = removing
	t.alone = t.alone || target == ""
	t.reply(q, "")
}

// drained answers the drain script once the server has stopped and the lease, if
// it was held beside others, is given up; and, for a moment, not before another
// leads: what BOSH does next on this machine would compete with its promotion.
func (t *turn) drained() {
	if t.drainID == 0 || t.in.Local.Server.State != Gone || (t.mine() && t.others() && t.consulAnswers()) {
		return
	}
	if source := t.source(); t.justEnded() && (source == nil || !t.othersFollow(source)) {
		return
	}
	t.actions = append(t.actions, Reply{ID: t.drainID, Granted: true})
	t.drainID = 0
}
