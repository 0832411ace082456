package decide

// status is what this node tells its peers and people about itself.
func (t *turn) status() Status {
	local := &t.in.Local
	s := &local.Server
	position, known := t.position()
	st := Status{
		Node: t.cfg.Node, ID: t.me(), Role: t.role, Why: t.why,
		Epoch: max(t.lease().Epoch, t.detached), Known: known, Position: position, History: t.history(),
		Detached: t.detached, Promised: t.now < t.promisedUntil, Leaving: t.draining,
		Disk: local.Disk.room(), SeenAt: t.now,
	}
	if s.State == Up {
		st.SeenAt = s.AnsweredAt
		st.Upstream = s.Upstream
		st.Streaming = s.InRecovery && s.Streaming
	}
	if t.leads() && t.mine() && t.now < t.until() {
		st.Writable, st.Epoch = true, t.lease().Epoch
	}
	switch s.State {
	case Up:
		st.Settled = known && s.InRecovery && s.Upstream == "" && s.ReceiverGone && s.Drained && t.in.Running&serverKinds == 0
	case Gone:
		st.Settled = known && t.in.Running&serverKinds == 0
	}
	st.Willing = t.standsBy() && known && t.unfit() == "" && !st.Promised && !t.farBehind(position)
	return st
}

// farBehind says whether this node would not take over because it misses too much.
func (t *turn) farBehind(position Position) bool {
	if t.view.Sync.Value.Mode == Quorum {
		return false
	}
	lost, known := missing(position, t.lease())
	return !known || lost > t.cfg.MaxLag
}
