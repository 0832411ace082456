package decide

// handOver carries a switchover up to the end of the server: checkpoint, so
// that the stop is short, then a clean stop, which sends the shutdown checkpoint
// to the standbys. The lease is renewed all the while, so nothing else begins.
func (t *turn) handOver() {
	h := &t.handover
	if !h.active { // draining
		t.handover = handover{active: true, began: t.now}
		if p := t.successor(""); p != nil {
			h.target = p.Node
		}
	}
	t.is(HandingOver, "to "+string(h.target))
	switch {
	case !h.requested:
		h.requested = t.also(Checkpoint{})
	case !h.stopping && (!t.in.Running.Has(KindCheckpoint) || t.now.Sub(h.began) > t.cfg.StopWithin):
		h.stopping = t.do(StopCleanly{Within: t.cfg.StopWithin})
	}
}

// afterStop hands the lease over once the successor has the shutdown
// checkpoint, or gives the switchover up.
func (t *turn) afterStop() {
	h := &t.handover
	data := &t.in.Local.Data
	t.is(HandingOver, "stopped; waits until "+string(h.target)+" has all of it")
	if p := t.peer(h.target); p != nil && data.Exact && p.AskedAt >= t.goneSince &&
		p.Status.Known && p.Status.Position.Timeline == data.End.Timeline && p.Status.Position.LSN >= data.End.LSN {
		t.release(h.target, "handed over")
		return
	}
	t.compareSoon()
	if t.now.Sub(t.goneSince) < t.cfg.Heir {
		return
	}
	t.endHandover(false, "the standby did not receive the end of the log")
	if t.draining {
		if t.others() {
			t.release("", "the node is draining")
		}
		return
	}
	t.startOwn()
}

// noteHandover ends a switchover whose lease has gone over.
func (t *turn) noteHandover() {
	if t.handover.active && t.view.AnsweredAt != 0 && !t.mine() {
		t.endHandover(t.lease().Released || t.lease().Node == t.handover.target, "the lease was lost")
	}
}

// endHandover answers who asked for the switchover.
func (t *turn) endHandover(done bool, why string) {
	if done {
		why = ""
	}
	if t.handover.id != 0 {
		t.actions = append(t.actions, Reply{ID: t.handover.id, Granted: done, Why: why})
	}
	t.handover = handover{}
}

// successor returns the member that a switchover should go to: the one named,
// or the most advanced of those that stream.
func (t *turn) successor(named Node) *Peer {
	var best *Peer
	for i := range t.in.Peers {
		p := &t.in.Peers[i]
		if named != "" && p.Node != named {
			continue
		}
		if !t.fresh(p) || !t.view.Members.Value.Has(p.Node, p.Status.ID) || hasNode(t.removing, p.Node) ||
			!p.Status.Willing || !p.Status.Known || !t.streams(p.Node) {
			continue
		}
		lag := t.in.Local.Server.Written - min(t.in.Local.Server.Written, p.Status.Position.LSN)
		if lag > t.cfg.MaxLag {
			continue
		}
		if best == nil || p.Status.Position.Ahead(best.Status.Position) {
			best = p
		}
	}
	return best
}
