package decide

// challenge plans to take the lease when it is free and this node should have
// it. It says whether it does.
func (t *turn) challenge() bool {
	why := t.unfit()
	if why == "" {
		why = t.notFree()
	}
	if why != "" {
		return false
	}
	l := t.lease()
	position, known := t.position()
	if t.lastPrimary() && (t.standsBy() && known || !t.in.Local.Data.Standby && t.in.Local.Server.State == Gone) {
		// Nobody has accepted writes since: nothing to compare.
		t.keepLocal = l.Holder == t.me()
		t.take(true, "this node was the last primary")
		t.is(Waiting, "takes its lease again")
		return true
	}
	if !t.standsBy() {
		return false
	}
	if !known {
		t.is(Waiting, "reads its own log before it compares")
		return false
	}
	if why := t.behind(position); why != "" {
		t.is(Waiting, why)
		return false
	}
	t.take(t.ended(), "the lease is free and nobody is ahead")
	t.is(TakingOver, t.plan.Why)
	return true
}

// ended says whether the last primary itself released the lease, which it does
// only when no process of its server is left. A takeover that was given back is
// no such proof: the primary before may still be frozen, with its connections open.
func (t *turn) ended() bool {
	l := t.lease()
	return t.view.Leader.Index != 0 && l.Released && l.Holder == l.Primary
}

// unfit says why this copy must not challenge, whatever the lease's state.
func (t *turn) unfit() string {
	data := &t.in.Local.Data
	switch {
	case !t.consulAnswers():
		return "Consul does not answer"
	case !t.view.Members.Value.Has(t.cfg.Node, t.me()):
		return "no member"
	case data.Rewinding || t.needClone:
		return "the data are incomplete"
	case data.System != t.view.Initialized.Value.System:
		return "the data are of another system"
	case t.draining:
		return "the node is draining"
	case !t.in.Local.Guard.Reachable:
		return "the guard does not answer"
	}
	return ""
}

// notFree says why the lease cannot be taken now.
func (t *turn) notFree() string {
	l := t.lease()
	age := t.now.Sub(t.leaderSeen)
	if t.view.Leader.Index != 0 && l.Released {
		wait := t.cfg.Heir
		switch {
		case l.Holder == t.me(): // everybody else first
			wait += t.cfg.Renew
		case l.Heir == "" || l.Heir == t.cfg.Node:
			wait = 0
		}
		if age < wait {
			return "the lease is for another"
		}
		return ""
	}
	if age < t.cfg.Lease {
		return "the lease is held"
	}
	if t.now < t.promisedUntil {
		return "a promise is in force"
	}
	return ""
}

// behind says why another copy, or nobody, should have the lease: a copy that
// must be compared cannot be, another is ahead, or this one misses too much.
func (t *turn) behind(position Position) string {
	l := t.lease()
	if t.now < t.forced {
		return ""
	}
	if l.Released && l.Final && position.reaches(l.Position) {
		return "" // has all that there is
	}
	since := t.now - Instant(t.cfg.PeerFresh)
	if t.ended() {
		since = max(since, t.leaderSeen) // read after the last server had ended
	}
	if l.Released && l.Final && t.now.Sub(t.leaderSeen) < t.cfg.Lease && t.view.Sync.Value.Mode != Quorum {
		return "leaves the lease to a node that has all of the last primary's log"
	}
	if why := t.compareRequired(position, since); why != "" {
		t.compareSoon()
		return why
	}
	if why := t.compareSeen(position, since); why != "" {
		t.compareSoon()
		return why
	}
	if t.view.Sync.Value.Mode != Quorum && !t.draining {
		if lost, known := missing(position, l); !known || lost > t.cfg.MaxLag {
			return "too far behind the lost primary"
		}
	}
	return ""
}

// compareRequired compares with every copy that may have acknowledged.
func (t *turn) compareRequired(position Position, since Instant) string {
	k := &t.view.Sync.Value
	if k.Mode != Quorum {
		return ""
	}
	for _, c := range k.Copies {
		if why := t.compareCopy(c, position, since); why != "" && t.required(c, position, since) {
			return why
		}
	}
	return ""
}

// required says whether nothing can stand in for a copy in the comparison. What
// the last primary's own copy is listed for, writes acknowledged before its
// promotion, the primary before it has as well.
func (t *turn) required(c Copy, position Position, since Instant) bool {
	previous := t.lease().Previous
	return t.listed(c.Node, c.ID) &&
		(c.ID != t.lease().Primary || previous == (Copy{}) || t.compareCopy(previous, position, since) != "")
}

// compareCopy says why a position cannot be said to be no less advanced than a copy's.
func (t *turn) compareCopy(c Copy, position Position, since Instant) string {
	if c.Node == t.cfg.Node && c.ID == t.me() {
		return ""
	}
	p := t.peer(c.Node)
	switch {
	case p == nil || p.seenAt() < since || p.AnsweredAt == 0 || p.Status.ID != c.ID || !p.Status.Known:
		return "a copy that may have acknowledged writes cannot be compared: " + string(c.Node)
	case p.Status.Position.Ahead(position):
		return "a copy that may have acknowledged writes is ahead: " + string(c.Node)
	}
	return ""
}

// compareSeen leaves the lease to a member that is reachable and ahead, or equal and of lower name.
func (t *turn) compareSeen(position Position, since Instant) string {
	free := t.leaderSeen
	if !t.lease().Released {
		free = free.Add(t.cfg.Lease)
	}
	for i := range t.in.Peers {
		p := &t.in.Peers[i]
		if !t.view.Members.Value.Has(p.Node, p.Status.ID) || p.AnsweredAt == 0 {
			continue
		}
		if p.seenAt() < since {
			if !p.Failing && t.now.Sub(max(free, t.began)) < 2*t.cfg.Tick {
				return "compares with " + string(p.Node)
			}
			continue
		}
		if !p.Status.Known || !(p.Status.Willing || p.Status.Promised) {
			continue
		}
		if p.Status.Position.Ahead(position) {
			return "further ahead: " + string(p.Node)
		}
		first := p.Node < t.cfg.Node
		if heir := t.lease().Heir; heir == p.Node || heir == t.cfg.Node {
			first = heir == p.Node
		}
		if !position.Ahead(p.Status.Position) && first && p.Status.Willing && t.now.Sub(free) < t.cfg.Renew {
			return "equal, and first in order: " + string(p.Node)
		}
	}
	return ""
}

// compareSoon has the peers polled now.
func (t *turn) compareSoon() {
	if t.now.Sub(t.comparing) >= t.cfg.Tick && t.also(ComparePeers{}) {
		t.comparing = t.now
	}
}

// missing returns how much of what the last primary published a position lacks;
// false when they have no comparable history.
func missing(position Position, l *Leader) (LSN, bool) {
	have := position.LSN
	switch {
	case position.Timeline >= l.Position.Timeline:
		if position.Timeline > l.Position.Timeline {
			return 0, true
		}
	case position.Timeline == l.Fork.Timeline:
		have = min(have, l.Fork.LSN)
	default:
		return 0, false
	}
	if have >= l.Position.LSN {
		return 0, true
	}
	return l.Position.LSN - have, true
}
