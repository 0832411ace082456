package decide

import "slices"

// follow is what a node does that neither holds nor takes the lease: have a
// server that stands by, and have it follow whoever leads.
func (t *turn) follow() {
	s := &t.in.Local.Server
	source := t.source()
	if source == nil {
		t.standing.since = 0
	}
	if t.role == "" {
		t.is(Waiting, "nobody leads")
	}
	switch {
	case t.draining:
		t.is(Draining, "stops its server")
		if s.State == Up {
			t.do(StopCleanly{Within: t.cfg.StopWithin})
		} else if s.State == Gone {
			t.why = "stopped"
		}
	case t.unusable() != "":
		t.replace(source)
	case s.State == Gone:
		t.startStandby(source)
	case !t.standsBy():
		t.is(Rejoining, "its server is "+s.State.String())
		t.rewoundInVain(source)
	case source == nil && t.followNamed():
	case source == nil:
		if (t.detached > s.UpstreamEpoch || t.primaryLost()) && !t.cfg.WithoutReceiverWait {
			t.detach()
		}
		if s.Streaming {
			t.is(StandbyRole, "streams from "+string(s.Upstream))
		}
	default:
		t.standBy(source)
	}
}

// followNamed has a running standby follow the node that Consul names as the
// primary while that is still being promoted: the promotion then finds it
// attached, and no commit waits for it. Nothing is compared with either of them
// any more. It says whether there is such a node.
func (t *turn) followNamed() bool {
	l, s, p := t.lease(), &t.in.Local.Server, t.named()
	position, known := t.position()
	if p == nil || !known || Diverged(position, s.History, p.Status.Position, p.Status.History) {
		return false
	}
	t.is(Waiting, "follows "+string(p.Node)+", which is being promoted")
	if s.Upstream != p.Node || s.UpstreamEpoch < l.Epoch {
		t.do(Follow{Node: p.Node, Address: t.addressOf(p.Node), Epoch: l.Epoch})
	}
	return true
}

// named returns the node that Consul names as the primary, while it is being promoted.
func (t *turn) named() *Peer {
	l := t.lease()
	p := t.peer(l.Node)
	if !t.consulAnswers() || t.view.Leader.Index == 0 || l.Released || l.Primary != l.Holder || l.Epoch < t.detached ||
		!t.fresh(p) || p.Status.ID != l.Holder || p.Status.Role != TakingOver {
		return nil
	}
	return p
}

// primaryLost says whether whoever holds the lease must have been fenced by now:
// not renewed for longer than it lets its server run, nor promised anything, and
// not to be seen. The walreceiver is then ended before the lease is free, so that
// the takeover need not wait for it. Should the primary be back it is followed again.
func (t *turn) primaryLost() bool {
	l := t.lease()
	p := t.peer(l.Node)
	return t.unfit() == "" && t.view.Leader.Index != 0 && !l.Released && !t.mine() && t.now >= t.promisedUntil.Add(t.cfg.Hold-t.cfg.Lease) &&
		t.now.Sub(t.leaderSeen) >= t.cfg.Hold && (p == nil || p.Failing) && !t.fresh(p)
}

// source returns the peer that accepts writes under the highest epoch, unless
// this node was detached for a higher one. Its own word counts more than
// Consul's, which this node may not reach.
func (t *turn) source() *Peer {
	var best *Peer
	least := max(t.detached, t.lease().Epoch)
	for i := range t.in.Peers {
		p := &t.in.Peers[i]
		if t.fresh(p) && p.Status.Writable && p.Status.Epoch >= least && (best == nil || p.Status.Epoch > best.Status.Epoch) {
			best = p
		}
	}
	return best
}

// unusable says why the data on the disk cannot be used again.
func (t *turn) unusable() string {
	data := &t.in.Local.Data
	switch {
	case !data.Present:
		return "has no data"
	case data.Rewinding:
		return "a rewind was interrupted"
	case t.view.Initialized.Index != 0 && data.System != t.view.Initialized.Value.System:
		return "the data are of another system"
	case t.needClone || t.rewinds >= 2 || t.startFailures >= 3:
		return "the data cannot follow"
	}
	return ""
}

// replace clones the primary's data over unusable ones.
func (t *turn) replace(source *Peer) {
	why := t.unusable()
	data := &t.in.Local.Data
	t.is(Uninitialised, why)
	switch {
	case data.Present && data.Announced && t.view.Initialized.Index != 0 && data.System != t.view.Initialized.Value.System:
		t.is(Waiting, why+"; an operator must decide")
	case source == nil:
		if data.Present && !data.Rewinding && !t.needClone && t.in.Local.Server.State == Gone && data.Standby {
			t.start(Start{Standby: true}) // nobody to clone from: try on
		}
		t.why = why + ", and nobody leads"
	case t.in.Local.Server.State == Gone:
		if t.do(Clone{Node: source.Node, Address: t.addressOf(source.Node), Epoch: source.Status.Epoch}) {
			t.is(Rejoining, "clones: "+why)
		}
	case t.standsBy():
		t.do(StopCleanly{Within: t.cfg.StopWithin})
	}
}

// startStandby brings a stopped server back as a standby. Data that are known to
// have left the leader's history are rewound first; when it is not known, the
// server says so once it has replayed its own log.
func (t *turn) startStandby(source *Peer) {
	data := &t.in.Local.Data
	t.is(Rejoining, "starts its server")
	if !data.Standby && source == nil && (t.lastPrimary() || !t.consulAnswers()) {
		t.is(Waiting, "was the last primary, waits for its lease")
		return
	}
	if source != nil && t.justEnded() && !t.othersFollow(source) {
		t.is(Rejoining, "lets the other standby begin first")
		return
	}
	if source != nil && (t.left || data.Exact && Diverged(data.End, data.History, source.Status.Position, source.Status.History)) {
		if t.do(Rewind{Node: source.Node, Address: t.addressOf(source.Node), Epoch: source.Status.Epoch}) {
			t.is(Rejoining, "rewinds to "+string(source.Node))
		}
		return
	}
	if t.left && t.now.Sub(t.goneSince) < t.cfg.Lease {
		// Started again, they would only be stopped when the leader is seen again.
		t.is(Rejoining, "waits for a leader to rewind to")
		return
	}
	if source == nil && (t.justEnded() || t.named() != nil) {
		t.is(Rejoining, "lets the next primary begin first")
		return
	}
	t.start(Start{Standby: true})
}

// justEnded says whether this node's server has ended a moment ago, beside others
// that can lead. What its data reach is known without a server, and one that is
// started before there is a primary only competes with its promotion.
func (t *turn) justEnded() bool {
	return t.consulAnswers() && t.goneSince != t.began && t.now.Sub(t.goneSince) < t.cfg.Heir && t.others()
}

// othersFollow says whether every other node that can be seen streams the new
// primary's timeline: a commit may wait for one of them, and not for this one.
func (t *turn) othersFollow(source *Peer) bool {
	for i := range t.in.Peers {
		p := &t.in.Peers[i]
		follows := p.Status.Streaming && p.Status.Upstream == source.Node && p.Status.Position.Timeline >= source.Status.Position.Timeline
		if p != source && t.fresh(p) && t.view.Members.Value.Has(p.Node, p.Status.ID) && !follows {
			return false
		}
	}
	return true
}

// rewoundInVain ends the start of a server that waits for log of the node it was
// rewound to, when another leads: it may never get it, and only a clone helps.
func (t *turn) rewoundInVain(source *Peer) {
	from := t.in.Local.Data.Rewound.Node
	if t.in.Local.Server.State != Starting || from == "" || source == nil || source.Node == from || t.now.Sub(max(t.startBegan, t.began)) < t.cfg.Hung {
		return
	}
	t.needClone = true
	t.also(Fence{Why: "was rewound to " + string(from) + ", which leads no more"})
}

// standBy has a running standby follow the primary.
func (t *turn) standBy(source *Peer) {
	s := &t.in.Local.Server
	position, known := t.position()
	diverged := known && Diverged(position, s.History, source.Status.Position, source.Status.History)
	t.left = t.left && (diverged || !known)
	t.is(StandbyRole, "follows "+string(source.Node))
	switch {
	case diverged:
		t.is(Rejoining, "has left the history of "+string(source.Node))
		t.left = true // although the end of its log may not be certain once it has stopped
		t.do(StopCleanly{Within: t.cfg.StopWithin})
	case s.Upstream != source.Node || s.UpstreamEpoch < source.Status.Epoch:
		t.do(Follow{Node: source.Node, Address: t.addressOf(source.Node), Epoch: source.Status.Epoch})
		t.standing = progress{}
	case s.LogLost:
		t.needClone = true
	case s.Streaming:
		t.standing = progress{}
		t.standbySlots()
	default:
		t.stuck(position)
	}
}

// stuck notices a standby that neither streams nor replays although its primary
// answers. Started again it looks anew for the timeline to follow: it may hold on to
// that of a primary which died before any of it arrived. If that does not help,
// nothing but a fresh copy does.
func (t *turn) stuck(position Position) {
	if t.standing.since == 0 || t.standing.position != position {
		t.standing = progress{position, t.now, t.standing.restarted}
		return
	}
	switch stood := t.now.Sub(t.standing.since); {
	case stood > t.cfg.Stuck:
		t.needClone = true
		t.standing = progress{}
	case stood > t.cfg.StuckRestart && !t.standing.restarted:
		t.is(Rejoining, "neither streams nor replays: starts its server again")
		t.standing.restarted = t.do(StopCleanly{Within: t.cfg.StopWithin})
	}
}

// addressOf returns a node's address.
func (t *turn) addressOf(node Node) string {
	for _, r := range t.view.Nodes {
		if r.Node == node {
			return r.Address
		}
	}
	m, _ := t.view.Members.Value.Of(node)
	return m.Address
}

// Diverged says whether data at position with this history have log that the
// history of theirs does not contain, so that they cannot follow it without a rewind.
func Diverged(position Position, history []Fork, theirs Position, theirHistory []Fork) bool {
	if position.Timeline == theirs.Timeline {
		return !slices.Equal(history, theirHistory)
	}
	parent := uint32(1)
	if len(history) > 0 && len(theirHistory) == 0 {
		return true
	}
	for i, fork := range theirHistory {
		if parent == position.Timeline {
			return !slices.Equal(history, theirHistory[:i]) || position.LSN > fork.LSN
		}
		parent = fork.Timeline
	}
	return true
}
