package decide

import "time"

// renew plans the next beat. Everything else that the holder changes rides on it.
func (t *turn) renew() {
	l := *t.lease()
	l.Beat++
	l.Node, l.Address = t.cfg.Node, t.cfg.Address
	if t.lastPrimary() && t.leads() {
		s := &t.in.Local.Server
		l.Position = s.Position()
		l.Fork = forkOf(s.History)
		l.Reserved = max(l.Reserved, s.Timeline)
		l.Final = false
	}
	t.plan = Write{Purpose: RenewLease, Leader: Entry[Leader]{t.view.Leader.Index, l}}
}

// forkOf returns where the latest timeline of a history left the one before.
func forkOf(history []Fork) Position {
	if len(history) == 0 {
		return Position{}
	}
	parent := uint32(1)
	if len(history) > 1 {
		parent = history[len(history)-2].Timeline
	}
	return Position{parent, history[len(history)-1].LSN}
}

// take plans to take the lease: with direct, when nothing of the last primary
// can run any more, so that the promotion follows at once.
func (t *turn) take(direct bool, why string) {
	old := t.lease()
	l := *old
	l.Holder, l.Node, l.Address = t.me(), t.cfg.Node, t.cfg.Address
	l.Epoch, l.Beat, l.Released, l.Heir = old.Epoch+1, 1, false, ""
	t.plan = Write{
		Purpose: TakeLease, Why: why, Leader: Entry[Leader]{t.view.Leader.Index, l},
		Check: &Unchanged{Members: t.view.Members.Index, Sync: t.view.Sync.Index},
	}
	if direct {
		t.becomePrimary()
	}
	t.urgent, t.promoteFailed = true, false
}

// becomePrimary adds to the plan what must be in Consul before this node may
// accept writes: that it is the primary now, the number of the timeline it makes,
// and the copies that may have, or will have, acknowledged.
func (t *turn) becomePrimary() {
	l := &t.plan.Leader.Value
	position, _ := t.position()
	if l.Primary != t.me() {
		l.Previous = t.memberWith(l.Primary)
	}
	t.inherited = inherited{}
	if l.Final && t.in.Local.Data.Standby && position.reaches(l.Position) {
		t.inherited = inherited{l.Epoch, l.Position}
	}
	l.Primary, l.Final = t.me(), false
	if t.in.Local.Data.Standby {
		l.Reserved = max(l.Reserved, l.Position.Timeline, position.Timeline) + 1
		l.Position, l.Fork = position, forkOf(t.history())
	}
	t.plan.Sync = t.armFor()
	t.plan.Check.addSync(t.plan.Sync)
}

// memberWith returns the member that has this copy of the data.
func (t *turn) memberWith(id Identity) Copy {
	for _, m := range t.view.Members.Value {
		if m.ID == id {
			return Copy{m.Node, m.ID}
		}
	}
	return Copy{}
}

// addSync leaves the comparison of the sync key to the write of it.
func (u *Unchanged) addSync(written *Entry[Sync]) {
	if u != nil && written != nil {
		u.Sync = written.Index
	}
}

// release plans to give the lease up: nothing accepts writes here any more. It
// does not while a start that was asked for may still bring up a primary.
func (t *turn) release(heir Node, why string) {
	if t.starting && !t.in.Local.Data.Standby {
		t.why = "waits for the end of a start before it gives the lease up"
		return
	}
	l := *t.lease()
	l.Beat++
	l.Released, l.Heir = true, heir
	switch data := &t.in.Local.Data; {
	case !t.lastPrimary():
	case !data.Standby:
		l.Final = data.Exact
		if data.Exact || data.End.Ahead(l.Position) {
			l.Position = data.End
		}
		if t.written.Ahead(l.Position) {
			l.Position = t.written
		}
	case t.inherited.epoch == l.Epoch && data.Ended:
		// Named and never promoted: the log still ends where the last primary's did.
		l.Final, l.Position = true, t.inherited.end
	}
	t.plan = Write{Purpose: ReleaseLease, Why: why, Leader: Entry[Leader]{t.view.Leader.Index, l}}
	t.urgent = true
}

// giveBack plans to abandon a takeover before the promotion.
func (t *turn) giveBack(heir Node, why string) {
	t.release(heir, why)
	if t.plan.Purpose == ReleaseLease {
		t.plan.Purpose = GiveBack
	}
}

// write sends what is planned, one write at a time.
func (t *turn) write() {
	p := &t.plan
	if p.Purpose == 0 || t.in.Running.Has(KindWrite) || t.sent.Purpose != 0 {
		return
	}
	extra := p.Members != nil || p.Sync != nil || p.Alias != nil || p.Initialized != nil
	if p.Purpose == RenewLease && t.plain && p.Alias != nil {
		p.Alias = nil
	}
	every := t.cfg.Renew
	switch {
	case t.urgent || extra || t.now.Sub(t.renewedAt) > t.cfg.Renew*3/2:
		every = t.cfg.Tick / 2 // not in a tight loop when it is refused
		if t.wroteOK {
			every = t.cfg.Tick / 8
		}
	case t.renewedAt == 0:
		every = 0
	}
	if t.lastWrite != 0 && t.now.Sub(t.lastWrite) < every-time.Millisecond {
		return
	}
	t.sent, t.lastWrite = *p, t.now
	t.actions = append(t.actions, *p)
}
