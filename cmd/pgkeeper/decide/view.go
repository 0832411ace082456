package decide

// absorb takes in the results of actions and the newest reading of Consul.
func (t *turn) absorb() {
	for i := range t.in.Results {
		r := &t.in.Results[i]
		switch a := r.Action.(type) {
		case Write:
			t.wrote(a, r)
		case AskPromises:
			t.promised(a, r)
		case Rewind:
			if r.Outcome != OK {
				t.rewinds++
				t.retryAt = t.now.Add(t.cfg.Renew)
			} else {
				t.rewinds, t.left = 0, false
			}
		case Clone:
			if r.Outcome == OK {
				t.needClone, t.left, t.rewinds, t.startFailures = false, false, 0, 0
			} else {
				t.retryAt = t.now.Add(t.cfg.Renew)
			}
		case Promote, StopCleanly, InitDB, Detach, Follow, SetSyncNames, Remember:
			if r.Outcome != OK {
				t.retryAt = t.now.Add(t.cfg.Tick)
			}
		}
	}
	t.read(&t.in.Consul.View, false)
	if !t.mine() {
		t.leaseUntil = 0
	}
}

// wrote takes in how a write of the lease ended.
func (t *turn) wrote(w Write, r *Result) {
	t.sent, t.wroteOK = Write{}, r.Outcome == OK
	switch r.Outcome {
	case OK:
		if w.Purpose == TakeLease || w.Purpose == RenewLease {
			t.renewedAt = r.Started
			t.leaseUntil = max(t.leaseUntil, r.Started.Add(t.cfg.Hold))
		}
		if w.Purpose == TakeLease {
			t.tookEpoch, t.tookAt = w.Leader.Value.Epoch, t.now
			t.detached = max(t.detached, w.Leader.Value.Epoch)
		}
		t.plain = false
	case Unknown:
		t.doubt.add(&w)
	case Failed:
		t.plain = w.Alias != nil
	}
	if r.View != nil {
		t.read(r.View, true)
	}
}

// read takes in a reading when it is newer than what is known. The lease's index
// only grows; a reading that shows a lower one is stale. That the lease is absent
// again, removed by hand, is believed only of a reading that came with a write.
func (t *turn) read(v *View, sure bool) {
	if v.AnsweredAt == 0 || !newer(v, &t.view) && !(sure && v.Leader.Index == 0) {
		return
	}
	if v.Leader.Index != t.view.Leader.Index || t.leaderSeen == 0 {
		t.leaderSeen = v.AnsweredAt
	}
	t.view = *v
	if t.doubt.any && v.Leader.Index != t.doubt.index {
		// A compare-and-set has succeeded and is in this reading; the others never will.
		t.doubt = doubt{}
	}
}

func newer(v, known *View) bool {
	switch {
	case known.AnsweredAt == 0:
		return true
	case v.Leader.Index > known.Leader.Index:
		return true
	case v.Leader.Index == known.Leader.Index:
		return v.AskedAt >= known.AskedAt
	}
	return false
}

// consulAnswers says whether the reading is recent enough to act on.
func (t *turn) consulAnswers() bool {
	return t.view.AnsweredAt != 0 && t.in.Consul.FailingSince == 0 &&
		t.now.Sub(t.view.AnsweredAt) <= 2*t.cfg.Renew+t.cfg.Tick
}
