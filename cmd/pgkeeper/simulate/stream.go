package main

import "github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"

// stream is one replication connection: a walsender and a walreceiver, and the
// network between them, which keeps the order of what it carries. The sender may
// itself be a standby.
type stream struct {
	primary, standby         *node
	primaryGen, standbyGen   uint32
	senderOpen, receiverOpen bool
	flushed                  decide.LSN
	heardByPrimary           int64
	heardByStandby           int64
	lastDown, lastUp         int64 // arrival of the latest message each way
}

// Time-outs of replication: wal_sender_timeout, wal_receiver_timeout.
const (
	senderTimeout   = 3 * second
	receiverTimeout = 5 * second
)

// connect has the walreceiver try its upstream, again and again.
func (s *server) connect() {
	n, w := s.n, s.n.w
	if s.state != decide.Up || !s.inRecovery || s.promoting {
		return
	}
	w.at(n, laneServer, 500*millisecond, s.connect)
	if st := s.recv; st != nil {
		if w.now-st.heardByStandby > receiverTimeout {
			w.tracef(n, "walreceiver times out")
			st.closeReceiver()
			s.recv = nil
		}
		return
	}
	if s.up < 0 || !s.drained || s.linger {
		return
	}
	up := w.nodes[s.up]
	gen := s.gen
	epoch := s.upEpoch
	w.send(n, up, laneServer, func() {
		if up.server.state != decide.Up {
			return
		}
		u := &up.server
		w.send(up, n, laneServer, func() { n.attach(up, gen, epoch, u.gen) })
	})
}

// attach completes the connection of a walreceiver.
func (n *node) attach(up *node, gen uint32, epoch uint64, upGen uint32) {
	s, u := &n.server, &up.server
	if s.gen != gen || u.gen != upGen || s.recv != nil || s.up != up.index || s.upEpoch != epoch || s.linger ||
		s.promoting || !s.inRecovery || u.state != decide.Up {
		return
	}
	if !up.disk.branch.contains(up.disk.lsn, n.disk.branch, n.disk.lsn) {
		n.w.tracef(n, "cannot follow %s: it has left its history", up.name)
		return
	}
	if s.heard != nil && !up.disk.branch.descends(s.heard) {
		n.w.tracef(n, "asks %s for timeline %d, which is not in its history", up.name, s.heard.timeline)
		return
	}
	s.heard = up.disk.branch
	st := &stream{
		primary: up, standby: n, primaryGen: u.gen, standbyGen: s.gen, senderOpen: true, receiverOpen: true,
		flushed: n.disk.lsn, heardByPrimary: n.w.now, heardByStandby: n.w.now,
	}
	for _, old := range u.streams {
		if old.standby == n {
			old.senderOpen = false
		}
	}
	u.streams = append(prune(u.streams), st)
	s.recv = st
	n.starts = 0
	n.w.tracef(n, "streams from %s", up.name)
	st.sendLog()
}

// sendLog sends all there is to the standby, or a sign of life.
func (st *stream) sendLog() {
	if !st.senderOpen {
		return
	}
	w := st.primary.w
	delay, ok := w.passes(st.primary.index, st.standby.index)
	if !ok {
		return // repeated with the next one
	}
	upTo, branch := st.primary.disk.lsn, st.primary.disk.branch
	at := max(w.now+delay, st.lastDown)
	st.lastDown = at
	w.at(st.standby, laneServer, at-w.now, func() { st.receive(upTo, branch) })
}

// receive flushes at the standby and says so. The sender may have been promoted
// since: its history goes on from all that it had sent.
func (st *stream) receive(upTo decide.LSN, branch *branch) {
	s := &st.standby.server
	if !st.receiverOpen || s.gen != st.standbyGen || s.recv != st {
		return
	}
	if st.standby.full > 0 {
		st.closeReceiver() // it cannot write what it gets
		s.recv = nil
		return
	}
	d := &st.standby.disk
	st.heardByStandby = st.primary.w.now
	news := d.branch != branch || upTo > d.lsn
	d.branch, d.lsn = branch, max(d.lsn, upTo) // contains() held when it connected
	s.received, s.replayed = d.lsn, d.lsn
	st.reply(d.lsn)
	for _, further := range s.streams {
		if news {
			further.sendLog()
		}
	}
}

func (st *stream) reply(flushed decide.LSN) {
	w := st.primary.w
	delay, ok := w.passes(st.standby.index, st.primary.index)
	if !ok {
		return
	}
	at := max(w.now+delay, st.lastUp)
	st.lastUp = at
	w.at(st.primary, laneServer, at-w.now, func() {
		if !st.senderOpen || st.primary.server.gen != st.primaryGen {
			return
		}
		st.heardByPrimary = w.now
		st.flushed = max(st.flushed, flushed)
		st.primary.server.acknowledge()
	})
}

// senders sends signs of life and drops standbys that are silent.
func (s *server) senders() {
	w := s.n.w
	if s.state == decide.Gone {
		return
	}
	for _, st := range s.streams {
		if st.senderOpen && w.now-st.heardByPrimary > senderTimeout {
			w.tracef(s.n, "walsender of %s times out", st.standby.name)
			st.senderOpen = false
			continue
		}
		st.sendLog()
	}
	s.streams = prune(s.streams)
	w.at(s.n, laneServer, second, s.senders)
}

func prune(streams []*stream) []*stream {
	open := streams[:0]
	for _, st := range streams {
		if st.senderOpen {
			open = append(open, st)
		}
	}
	return open
}

// closeReceiver ends the walreceiver; what it had sent still arrives, then the end.
func (st *stream) closeReceiver() {
	if !st.receiverOpen {
		return
	}
	st.receiverOpen = false
	w := st.primary.w
	if !st.standby.up {
		return // a dead machine says nothing
	}
	if delay, ok := w.passes(st.standby.index, st.primary.index); ok {
		at := max(w.now+delay, st.lastUp)
		st.lastUp = at
		w.at(st.primary, laneServer, at-w.now, func() { st.senderOpen = false })
	}
}

// closeSender ends the walsender.
func (st *stream) closeSender() {
	if !st.senderOpen {
		return
	}
	st.senderOpen = false
	w := st.primary.w
	if !st.primary.up {
		return
	}
	if delay, ok := w.passes(st.primary.index, st.standby.index); ok {
		at := max(w.now+delay, st.lastDown)
		st.lastDown = at
		w.at(st.standby, laneServer, at-w.now, func() {
			if s := &st.standby.server; st.receiverOpen && s.recv == st {
				st.receiverOpen = false
				s.recv = nil
			}
		})
	}
}

// setUpstream changes primary_conninfo and reloads: the walreceiver ends a little later.
func (s *server) setUpstream(up int, epoch uint64) bool {
	n, w := s.n, s.n.w
	if s.state != decide.Up || !s.inRecovery || s.promoting {
		return false
	}
	s.up, s.upEpoch = up, epoch
	if s.recv != nil && !s.linger {
		s.linger = true
		w.at(n, laneServer, w.between(millisecond, 60*millisecond), func() {
			s.linger = false
			if s.recv != nil {
				s.recv.closeReceiver()
				s.recv = nil
			}
		})
	}
	return true
}
