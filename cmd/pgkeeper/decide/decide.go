package decide

// Decide returns what to do now. It is a pure function: the same arguments give
// the same answer, and what state refers to is not changed but replaced.
func Decide(cfg Config, state State, seen Observation) (State, []Action) {
	t := turn{cfg: cfg, State: state, in: seen, now: seen.Now}
	if t.began == 0 {
		t.began = t.now
	}
	if t.last == 0 || t.now.Sub(t.last) > t.cfg.Hold/2 {
		t.awake = t.now // stopped or frozen meanwhile: what is old may not be so for others
	}
	t.last = t.now
	t.busy = seen.Running&serverKinds != 0
	t.absorb()
	t.noteServer()
	t.noteHandover()
	t.answer()
	if !t.guard() {
		t.act()
	}
	t.promises()
	t.register()
	t.write()
	t.Status = t.status()
	return t.State, t.actions
}

// turn is one call of Decide: a copy of the state, and what comes out.
type turn struct {
	State
	cfg     Config
	in      Observation
	now     Instant
	busy    bool // an action on PostgreSQL is under way
	plan    Write
	urgent  bool // the plan does not wait for the next beat
	role    Role
	why     string
	actions []Action
}

// serverKinds are the actions of which one at a time may run.
const serverKinds = Kinds(1<<KindInitDB | 1<<KindStart | 1<<KindStopCleanly | 1<<KindPromote | 1<<KindDetach |
	1<<KindFollow | 1<<KindSetSync | 1<<KindRewind | 1<<KindClone | 1<<KindRemember)

// act goes by what this node is.
func (t *turn) act() {
	data := &t.in.Local.Data
	switch {
	case t.view.AnsweredAt == 0:
		t.withoutConsul()
	case t.view.Initialized.Index == 0:
		t.bootstrap()
	case t.mine():
		t.holder()
	case data.Present && t.challenge():
	default:
		t.follow()
	}
}

// do asks for an action on PostgreSQL unless one is under way.
func (t *turn) do(a Action) bool {
	if t.busy || t.now < t.retryAt {
		return false
	}
	t.busy = true
	t.actions = append(t.actions, a)
	return true
}

// also asks for an action that runs beside others, unless one of its kind is under way.
func (t *turn) also(a Action) bool {
	if t.in.Running.Has(a.Kind()) {
		return false
	}
	t.actions = append(t.actions, a)
	return true
}

// is notes role and reason for the status.
func (t *turn) is(role Role, why string) { t.role, t.why = role, why }

// me is this node's copy of the data.
func (t *turn) me() Identity {
	if !t.in.Local.Data.Present {
		return ""
	}
	return t.in.Local.Data.Identity
}

// lease is the value of the key `leader` as last read.
func (t *turn) lease() *Leader { return &t.view.Leader.Value }

// mine says whether this node's data hold the lease, by the last reading; whether
// it is still valid is another question (until).
func (t *turn) mine() bool {
	id := t.me()
	return id != "" && t.view.Leader.Index != 0 && t.lease().Holder == id && !t.lease().Released
}

// lastPrimary says whether nobody else can have accepted writes since this copy did.
func (t *turn) lastPrimary() bool {
	id := t.me()
	return id != "" && t.view.Leader.Index != 0 && t.lease().Primary == id
}

// leads says whether the server accepts writes.
func (t *turn) leads() bool {
	s := &t.in.Local.Server
	return s.State == Up && !s.InRecovery
}

// standsBy says whether the server runs as a standby.
func (t *turn) standsBy() bool {
	s := &t.in.Local.Server
	return s.State == Up && s.InRecovery && !t.promoting
}

// position returns how far this node's data reach, and whether that is certain.
func (t *turn) position() (Position, bool) {
	s, data := &t.in.Local.Server, &t.in.Local.Data
	switch {
	case !data.Present || data.Rewinding:
		return Position{}, false
	case s.State == Up && s.InRecovery:
		return s.Position(), s.Streaming || s.Drained
	case s.State == Up:
		return s.Position(), true
	case s.State == Gone:
		return data.End, data.Exact
	}
	return Position{}, false
}

// history returns the forks of this node's timelines.
func (t *turn) history() []Fork {
	if t.in.Local.Server.State == Up {
		return t.in.Local.Server.History
	}
	return t.in.Local.Data.History
}

// peer returns the latest answer of a node, or nil.
func (t *turn) peer(node Node) *Peer {
	for i := range t.in.Peers {
		if t.in.Peers[i].Node == node {
			return &t.in.Peers[i]
		}
	}
	return nil
}

// fresh says whether a peer has answered lately.
func (t *turn) fresh(p *Peer) bool {
	return p != nil && p.AnsweredAt != 0 && t.now.Sub(p.AskedAt) <= t.cfg.PeerFresh
}

// others says whether there is any other member, as far as this node knows.
func (t *turn) others() bool {
	for _, m := range t.view.Members.Value {
		if m.Node != t.cfg.Node {
			return true
		}
	}
	return false
}

// noteServer follows what the server does between decisions.
func (t *turn) noteServer() {
	s := &t.in.Local.Server
	if !t.in.Local.Data.Standby {
		t.inherited = inherited{} // may have written since
	}
	if s.State == Gone {
		if t.goneSince == 0 {
			t.goneSince = t.now
		}
		if t.starting && !t.in.Running.Has(KindStart) {
			t.starting = false
			t.startFailures++
			t.retryAt = t.now.Add(t.cfg.Renew)
		}
		t.promoteFailed = t.promoteFailed || t.promoting
		t.promoting = false
		return
	}
	t.goneSince = 0
	if s.State != Up {
		return
	}
	if !s.InRecovery {
		t.written = s.Position()
		t.promoting, t.promoteFailed, t.keepLocal = false, false, false
	}
	t.starting = false
	if !t.promoting {
		t.startFailures = 0
	}
}
