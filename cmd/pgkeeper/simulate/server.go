package main

import "github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"

// server is PostgreSQL on a node: its processes. Its data are the disk's.
type server struct {
	n          *node
	gen        uint32 // counts starts and ends
	state      decide.ServerState
	inRecovery bool
	promoting  bool
	hung       bool
	received   decide.LSN
	replayed   decide.LSN
	drained    bool

	up      int // index of the upstream, -1: none
	upEpoch uint64
	recv    *stream // walreceiver
	linger  bool    // a walreceiver that was told to end has not yet
	heard   *branch // the newest timeline that an upstream has told of: it follows that or none until its next start

	syncNames []decide.Node
	slots     []decide.Node
	streams   []*stream // walsenders
	waiting   []decide.LSN
	answered  decide.Instant
}

// vanish forgets all processes, without any end of theirs.
func (s *server) vanish() {
	n := s.n
	*s = server{n: n, gen: s.gen + 1, state: decide.Gone, up: -1, slots: s.slots, syncNames: s.syncNames}
}

// crash ends all processes at once.
func (s *server) crash() {
	if s.state == decide.Gone {
		return
	}
	n := s.n
	n.w.tracef(n, "server is killed at %d:%s", n.disk.branch.timeline, n.disk.lsn)
	if n.disk.present {
		n.disk.clean = false
		n.disk.exact = n.w.plan.Exact
		n.disk.shown = n.disk.lsn - min(n.disk.lsn, 3000)
	}
	s.close()
	s.vanish()
}

// close ends the connections; the other side hears of it when the network carries it.
func (s *server) close() {
	for _, st := range s.streams {
		st.closeSender()
	}
	s.streams = nil
	if s.recv != nil {
		s.recv.closeReceiver()
		s.recv = nil
	}
}

// writable says whether clients can write.
func (s *server) writable() bool {
	return (s.state == decide.Up || s.state == decide.Remains) && !s.inRecovery
}

// start starts the processes. The result arrives at the keeper when the server
// accepts queries, or has failed to.
func (s *server) start(a decide.Start) bool {
	n, w := s.n, s.n.w
	d := &n.disk
	if s.state != decide.Gone || !d.present || d.rewinding || !n.guard.up {
		return false
	}
	if !a.Standby && (d.standby || !n.guard.arm(a.Deadline)) {
		return false
	}
	if a.Standby {
		d.standby = true
		n.guard.deadline = decide.Forever
	}
	s.vanish()
	s.state, s.inRecovery, s.up = decide.Starting, d.standby, -1
	s.syncNames = a.SyncNames
	d.exact = false
	d.shown = d.lsn - min(d.lsn, 3000)
	delay := w.between(100*millisecond, 600*millisecond)
	if w.chance(0.05) {
		delay += w.between(second, 4*second)
	}
	if !d.clean {
		delay += w.between(0, second)
	}
	fails := w.active > 0 && w.chance(w.plan.Broken)
	w.at(n, laneServer, delay, func() {
		if fails {
			w.tracef(n, "server fails to start")
			s.crash()
			return
		}
		if d.rewound != nil {
			s.becomeConsistent(w.now)
			return
		}
		s.ready()
	})
	return true
}

// becomeConsistent waits until a server whose data were rewound can stream from
// their source; one that cannot for long is given up, and only a clone helps.
func (s *server) becomeConsistent(began int64) {
	n, w := s.n, s.n.w
	d := &n.disk
	need := d.rewound
	source := w.byName(need.from.Node)
	switch {
	case w.reach(n, source) && source.disk.branch.contains(source.disk.lsn, need.branch, need.lsn):
		d.branch, d.lsn = need.branch, need.lsn
		d.rewound = nil
		s.ready()
		s.up, s.upEpoch = source.index, need.from.Epoch
	case w.now-began > consistentWithin:
		w.tracef(n, "has been rewound in vain")
		s.crash()
		d.rewinding = true
	default:
		w.at(n, laneServer, 200*millisecond, func() { s.becomeConsistent(began) })
	}
}

const consistentWithin = 300 * second

// ready is the moment the server accepts queries.
func (s *server) ready() {
	n, w := s.n, s.n.w
	d := &n.disk
	s.state = decide.Up
	w.starts(n)
	s.answered = n.clock()
	d.clean = false
	if !s.inRecovery {
		d.lsn += 50 // end-of-recovery checkpoint
		w.tracef(n, "server accepts writes at %d:%s", d.branch.timeline, d.lsn)
		s.openForWrites()
		w.at(n, laneServer, w.between(0, second), s.senders)
		return
	}
	s.replayed = d.lsn - min(d.lsn, decide.LSN(w.between(0, 500)))
	w.tracef(n, "server stands by at %d:%s", d.branch.timeline, d.lsn)
	w.at(n, laneServer, w.between(0, 500*millisecond), s.drain)
	w.at(n, laneServer, w.between(0, 200*millisecond), s.connect)
	w.at(n, laneServer, w.between(0, second), s.senders)
}

// drain is the moment all local log has been replayed.
func (s *server) drain() {
	s.replayed, s.drained = s.n.disk.lsn, true
}

// openForWrites begins with clients.
func (s *server) openForWrites() {
	w := s.n.w
	s.n.starts = 0
	w.checkPrimary(s.n)
	w.at(s.n, laneServer, w.between(0, 50*millisecond), s.client)
}

// promote ends recovery on a new timeline.
func (s *server) promote(a decide.Promote, done func(bool)) {
	n, w := s.n, s.n.w
	if s.state != decide.Up || !s.inRecovery || s.promoting {
		done(false)
		return
	}
	s.promoting = true
	s.syncNames = a.SyncNames
	w.at(n, laneServer, w.between(100*millisecond, 500*millisecond), func() {
		if s.recv != nil {
			s.recv.closeReceiver()
			s.recv = nil
		}
		d := &n.disk
		d.branch = w.newBranch(a.Timeline, d.branch, d.lsn, d.system)
		d.lsn += 50
		d.standby = false
		s.inRecovery, s.promoting, s.up = false, false, -1
		w.tracef(n, "is promoted to timeline %d at %s, commits wait for %v", a.Timeline, d.branch.fork, a.SyncNames)
		s.openForWrites()
		done(true)
	})
}

// stop is a clean stop: clients end, standbys get the shutdown checkpoint.
func (s *server) stop(within int64) bool {
	n, w := s.n, s.n.w
	if s.state != decide.Up {
		return false
	}
	s.state = decide.Stopping
	if !s.inRecovery {
		n.disk.lsn += 50
		for _, st := range s.streams {
			st.sendLog()
		}
	}
	began := w.now
	var end func()
	end = func() {
		behind := false
		for _, st := range s.streams {
			behind = behind || (st.senderOpen && st.flushed < n.disk.lsn)
		}
		if behind && !s.inRecovery && w.now-began < within {
			w.at(n, laneServer, 50*millisecond, end)
			return
		}
		w.tracef(n, "server stops cleanly at %d:%s", n.disk.branch.timeline, n.disk.lsn)
		n.disk.clean, n.disk.exact = true, !w.chance(w.plan.Unsure)
		n.disk.shown = n.disk.lsn - min(n.disk.lsn, 3000)
		s.close()
		s.vanish()
	}
	w.at(n, laneServer, w.between(30*millisecond, 300*millisecond), end)
	return true
}

// client writes now and then, as long as somebody accepts it.
func (s *server) client() {
	n, w := s.n, s.n.w
	if !s.writable() {
		return
	}
	if n.full > 0 && !n.spared && w.chance(0.3) {
		w.tracef(n, "server finds no room for its log")
		n.spared = true // the next start gives the reserve up
		n.disk.lsn += decide.LSN(w.between(1, 300))
		s.crash()
		return
	}
	if !s.hung && n.full == 0 {
		n.disk.lsn += decide.LSN(w.between(1, 300))
		if len(s.syncNames) == 0 {
			w.acked(n, n.disk.lsn, false)
		} else {
			s.waiting = append(s.waiting, n.disk.lsn)
			if len(s.waiting) > 64 {
				s.waiting = s.waiting[len(s.waiting)-64:]
			}
		}
		for _, st := range s.streams {
			st.sendLog()
		}
	}
	gap := w.between(20*millisecond, 500*millisecond)
	w.at(n, laneServer, gap, s.client)
}

// acknowledge lets commits go that a standby of the set has flushed.
func (s *server) acknowledge() {
	if !s.writable() && s.state != decide.Stopping {
		return
	}
	flushed := decide.LSN(0)
	if len(s.syncNames) == 0 {
		flushed = s.n.disk.lsn
	}
	for _, st := range s.streams {
		if st.senderOpen && contains(s.syncNames, st.standby.name) {
			flushed = max(flushed, st.flushed)
		}
	}
	top := decide.LSN(0)
	i := 0
	for i < len(s.waiting) && s.waiting[i] <= flushed {
		top = s.waiting[i]
		i++
	}
	s.waiting = s.waiting[i:]
	if top > 0 {
		s.n.w.acked(s.n, top, len(s.syncNames) > 0)
	}
}

// observe is what the keeper reads of the server.
func (s *server) observe(into *decide.Server) {
	n := s.n
	d := &n.disk
	standbys := into.Standbys[:0]
	*into = decide.Server{State: s.state}
	if s.state != decide.Up {
		into.Standbys = standbys
		return
	}
	if !s.hung {
		s.answered = n.clock()
	}
	into.AnsweredAt, into.InRecovery = s.answered, s.inRecovery
	into.Timeline, into.History = d.branch.timeline, d.branch.history
	into.SyncNames, into.Slots = s.syncNames, s.slots
	if !s.inRecovery {
		into.Written = d.lsn
		for _, st := range s.streams {
			if st.senderOpen {
				standbys = append(standbys, decide.Standby{Node: st.standby.name, Streaming: true, Flushed: st.flushed})
			}
		}
		into.Standbys = standbys
		return
	}
	into.Standbys = standbys
	into.Received, into.Replayed, into.Drained = s.received, s.replayed, s.drained
	into.ReceiverGone = s.recv == nil && !s.linger
	into.Streaming = s.recv != nil
	if s.up >= 0 {
		into.Upstream = n.w.nodes[s.up].name
	}
	into.UpstreamEpoch = s.upEpoch
}

func contains(nodes []decide.Node, node decide.Node) bool {
	for _, one := range nodes {
		if one == node {
			return true
		}
	}
	return false
}
