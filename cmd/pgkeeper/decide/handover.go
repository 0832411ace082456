package decide

// handOver carries a switchover up to the end of the server: checkpoint, so
// that the stop is short, then a clean stop, which sends the shutdown checkpoint
// to the standbys. The lease is renewed all the while, so nothing else begins.
func (t *turn) handOver() {
	h := &t.handover
	if !h.active { // draining
		t.handover = handover{active: true, began: t.now}
	}
	if p := t.successor("", anyPeer); h.target == "" && p != nil {
		h.target = p.Node
	}
	t.is(HandingOver, h.why+"to "+string(h.target))
	switch {
	case !h.requested:
		h.requested = t.also(Checkpoint{})
	case h.target == "" && t.others() && t.now.Sub(h.began) < t.cfg.Heir:
		t.why = "waits for a standby that is fit, while it still serves"
	case !h.stopping && (!t.in.Running.Has(KindCheckpoint) || t.now.Sub(h.began) > t.cfg.StopWithin):
		h.stopping = t.do(StopCleanly{Within: t.cfg.StopWithin})
	}
}

// afterStop hands the lease over as soon as it is certain where the log ends:
// the successor takes it only when it has all of that, and nobody else may for a
// while. Where the end is not certain the switchover is given up.
func (t *turn) afterStop() {
	h := &t.handover
	t.is(HandingOver, "stopped; looks for the end of its log")
	if t.in.Local.Data.Exact && (h.target != "" || t.draining && t.others()) {
		t.release(h.target, "handed over")
		return
	}
	if t.now.Sub(t.goneSince) < t.cfg.Heir {
		return
	}
	t.endHandover("the end of the log is not certain")
	if t.draining {
		if t.others() {
			t.release("", "the node is draining")
		}
		return
	}
	t.startOwn()
}

// crashedAmid says whether the server crashed before it was stopped, with log that
// it has not sent: nobody may have all of it, so it goes on as after any crash.
func (t *turn) crashedAmid() bool {
	data := &t.in.Local.Data
	return data.Ended && !data.Clean && !t.draining
}

// noteHandover ends a switchover whose lease has gone over, and tells who asked
// for it once somebody has it.
func (t *turn) noteHandover() {
	if t.view.AnsweredAt == 0 {
		return
	}
	if t.handover.active && !t.mine() {
		t.asked, t.handover = t.handover.id, handover{}
	}
	if t.asked == 0 || t.lease().Released {
		return
	}
	why := ""
	if t.mine() {
		why = "no standby took over"
	}
	t.actions = append(t.actions, Reply{ID: t.asked, Granted: why == "", Why: why})
	t.asked = 0
}

// endHandover gives a switchover up and tells who asked for it.
func (t *turn) endHandover(why string) {
	if t.handover.id != 0 {
		t.actions = append(t.actions, Reply{ID: t.handover.id, Why: why})
	}
	if t.handover.began == t.leftFull && t.crashedAmid() { // full since then; it need not wait once more
		t.fullSince, t.leftFull = t.leftFull, 0
	}
	t.handover = handover{}
}

// anyPeer is for successor: whoever else is fit.
func anyPeer(*Peer) bool { return true }

// successor returns the member that a switchover should go to: the one named,
// or the most advanced of those that stream and have what is asked for.
func (t *turn) successor(named Node, has func(*Peer) bool) *Peer {
	var best *Peer
	for i := range t.in.Peers {
		p := &t.in.Peers[i]
		if named != "" && p.Node != named {
			continue
		}
		if !t.fresh(p) || !t.view.Members.Value.Has(p.Node, p.Status.ID) || hasNode(t.removing, p.Node) ||
			!p.Status.Willing || !p.Status.Known || !t.streams(p.Node) || !has(p) {
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
