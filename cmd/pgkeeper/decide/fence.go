package decide

// mayWrite says whether the server accepts writes or may be about to.
func (t *turn) mayWrite() bool {
	s, data := &t.in.Local.Server, &t.in.Local.Data
	switch s.State {
	case Gone:
		return false
	case Up:
		return !s.InRecovery || t.promoting
	}
	return !data.Standby || t.promoting
}

// sole says whether this copy is the only member there is: nobody can take its
// lease, so Consul's absence does not matter. A keeper that has renewed the lease
// itself knows, as no earlier write can add a member any more; one that has just
// begun goes by the note on the disk, which is removed before a second member is
// admitted.
func (t *turn) sole() bool {
	data := &t.in.Local.Data
	if !data.Present {
		return false
	}
	if t.view.AnsweredAt == 0 || len(t.view.Members.Value) == 0 {
		return data.Sole
	}
	if !t.onlyMember() || t.binding && t.mayAdmit() || t.doubt.members != nil || t.sent.Members != nil {
		return false
	}
	return data.Sole || t.renewedAt != 0
}

// onlyMember says whether Consul lists nobody else.
func (t *turn) onlyMember() bool {
	members := t.view.Members.Value
	return len(members) == 1 && members.Has(t.cfg.Node, t.me())
}

// until is how long this node's server may accept writes, by what is known now.
// A keeper that has just begun goes by what its predecessor told the guard.
func (t *turn) until() Instant {
	if t.sole() {
		return Forever
	}
	before := Instant(0)
	if t.renewedAt == 0 {
		before = t.in.Local.Guard.Deadline
	}
	if t.view.AnsweredAt == 0 {
		return before
	}
	if !t.mine() {
		return 0
	}
	return max(t.leaseUntil, t.promisesUntil(), before)
}

// deposed says why the server must not run on although its time is not over.
func (t *turn) deposed() string {
	s := &t.in.Local.Server
	switch {
	case !t.in.Local.Guard.Reachable:
		return "the guard has gone"
	case s.State == Remains:
		return "the postmaster has gone, processes remain"
	case t.view.AnsweredAt == 0 || !t.mayWrite():
		return ""
	case t.view.Leader.Index != 0 && !t.mine() && !t.sole():
		return "another node holds the lease"
	case s.State == Up && s.AnsweredAt != 0 && t.now.Sub(max(s.AnsweredAt, t.awake)) > t.cfg.Hung:
		return "the server does not answer"
	case t.promoting && t.now.Sub(t.promoteBegan) > t.cfg.TakeoverWithin:
		return "the promotion does not end"
	}
	return ""
}

// guard keeps the guard's deadline and kills the server that must not run on. It
// says whether it does.
func (t *turn) guard() bool {
	local := &t.in.Local
	if local.Server.State == Gone {
		return false
	}
	if why := t.deposed(); why != "" {
		return t.kill(why)
	}
	if t.cfg.WithoutFence {
		t.extend(Forever)
		return false
	}
	if !t.mayWrite() {
		return t.disarm()
	}
	until := t.until()
	if t.now >= until || (local.Guard.Deadline != Forever && t.now >= local.Guard.Deadline) {
		return t.kill("the lease has run out")
	}
	t.extend(until)
	return false
}

// disarm lets a standby run without a deadline, and arms the guard of one that
// is about to be promoted. A guard that is armed without that may have a
// promotion behind it, asked for earlier, that still comes: such a server is
// killed instead.
func (t *turn) disarm() bool {
	deadline := t.in.Local.Guard.Deadline
	switch {
	case t.mine() && t.lastPrimary():
		if deadline == Forever {
			deadline = 0
		}
		if until := max(t.leaseUntil, deadline); until > t.now {
			t.extend(until)
		}
	case deadline != Forever && t.view.AnsweredAt != 0:
		return t.kill("a takeover was left half done")
	}
	return false
}

func (t *turn) extend(deadline Instant) {
	if t.in.Local.Guard.Deadline != deadline && t.also(ExtendFence{Deadline: deadline}) && deadline == Forever {
		t.disarmedAt = t.now
	}
}

func (t *turn) kill(why string) bool {
	t.is(Fenced, why)
	t.also(Fence{Why: why})
	return true
}
