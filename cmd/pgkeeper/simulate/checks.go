package main

import (
	"fmt"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// checks is what a schedule's run is judged by.
type checks struct {
	Violation string `json:"violation,omitempty"` // which rule was broken first
	Detail    string `json:"detail,omitempty"`
	At        int64  `json:"at,omitempty"`

	newest     *branch // the latest history that has acknowledged
	current    *node   // the latest server that began to accept writes
	final      *branch // released as final, with all that was acknowledged
	finalAt    int64
	aliasOff   int64 // since when the alias names another than the writable primary
	readersOff int64 // since when it names other replicas than the standbys that stream
	firstAck   int64
	lastAck    int64
	gap        int64      // the longest without an acknowledgement
	lostBytes  decide.LSN // async: most acknowledged log missing after a promotion
	promotions int
	fences     int
	faultsEnd  int64
	writableAt int64 // after the faults
	wholeAt    int64
}

// violate ends the schedule: a promise was broken.
func (w *world) violate(rule, detail string) {
	if w.log.Violation != "" {
		return
	}
	w.log.Violation, w.log.Detail, w.log.At = rule, detail, w.now
	w.tracef(nil, "VIOLATION (%s): %s", rule, detail)
	w.done = true
}

// acked notes that a write on a node's branch was acknowledged to its client.
func (w *world) acked(n *node, lsn decide.LSN, quorum bool) {
	b := n.disk.branch
	if w.log.firstAck == 0 {
		w.log.firstAck = w.now
	} else {
		w.log.gap = max(w.log.gap, w.now-w.log.lastAck)
	}
	w.log.lastAck = w.now
	b.acked = max(b.acked, lsn)
	late := w.excused(n) && w.consul.view.Leader.Value.Primary != n.disk.identity // a promotion that a freeze delayed
	if w.log.newest == nil || (b.id > w.log.newest.id && !late) {
		w.log.newest = b
	}
	if b != w.log.newest && !w.excused(n) {
		w.violate("two primaries", fmt.Sprintf("%s acknowledges on timeline %d after %d has acknowledged", n.name, b.timeline, w.log.newest.timeline))
	}
	if !quorum {
		return
	}
	b.quorum = max(b.quorum, lsn)
	if cur := w.log.current; cur != nil && cur != n && cur.disk.present && !cur.disk.branch.contains(cur.disk.lsn, b, lsn) && cur.disk.branch.id > b.id {
		w.violate("lost write", fmt.Sprintf("%s acknowledged %d:%s, which primary %s lacks", n.name, b.timeline, lsn, cur.name))
	}
}

// fenced looks at a server that is killed because its lease has run out, or
// another has it: never a sole member's, never for Consul's absence alone.
func (w *world) fenced(n *node) {
	w.log.fences++
	members := w.consul.view.Members.Value
	if w.plan.Stale > 0 {
		return // a stale first reading of a new keeper may cost an outage
	}
	if n.disk.memory.Sole && n.guard.deadline == decide.Forever && len(members) == 1 && members.Has(n.name, n.disk.identity) {
		w.violate("needless", fmt.Sprintf("%s is the only member and was fenced", n.name))
	}
	if n.server.writable() && w.plan.onlyConsul() {
		w.violate("needless", fmt.Sprintf("%s was fenced although only Consul was away", n.name))
	}
}

// excused says whether an acknowledgement falls under the stated assumption: the
// machine was frozen for longer than the guard may be late, and has just woken.
func (w *world) excused(n *node) bool {
	return n.woken != 0 && w.now-n.woken < 200*millisecond
}

// checkPrimary is called when a server begins to accept writes.
func (w *world) checkPrimary(n *node) {
	if w.excused(n) {
		return // the guard ends it now; what it acknowledges until then is looked at in acked
	}
	d := &n.disk
	w.log.promotions++
	if !d.memory.Announced && w.consul.view.Initialized.Value.System != d.system {
		w.violate("initdb", fmt.Sprintf("%s accepts writes of a system that nobody announced", n.name))
	}
	for _, other := range w.nodes {
		s := &other.server
		if other != n && other.up && !other.frozen && s.writable() && !(w.now-other.woken < 200*millisecond && other.woken != 0) &&
			(w.plan.Mode == decide.Async || len(s.syncNames) == 0) {
			w.violate("two primaries", fmt.Sprintf("%s accepts writes while %s does", n.name, other.name))
		}
	}
	for _, b := range w.branches {
		if b.system != d.system {
			continue
		}
		if b.quorum > 0 && !d.branch.contains(d.lsn, b, b.quorum) {
			w.violate("lost write", fmt.Sprintf("primary %s at %d:%s lacks %d:%s, acknowledged by a quorum",
				n.name, d.branch.timeline, d.lsn, b.timeline, b.quorum))
		}
	}
	if b := d.branch; b.parent != nil && b.parent.acked > b.fork {
		w.log.lostBytes = max(w.log.lostBytes, b.parent.acked-b.fork)
		if w.log.final == b.parent && w.plan.Mode == decide.Async && w.now-w.log.finalAt < 5*second {
			w.violate("lost write", fmt.Sprintf("a planned switchover to %s lost %d bytes", n.name, b.parent.acked-b.fork))
		}
	}
	w.log.final = nil
	w.log.current = n
}

// noteWrite watches the lease.
func (w *world) noteWrite(n *node, a *decide.Write, outcome decide.Outcome) {
	if outcome == decide.OK && a.Purpose == decide.ReleaseLease && a.Leader.Value.Final && n.disk.clean {
		w.log.final, w.log.finalAt = n.disk.branch, w.now
	}
}

// Bounds of what must come back, in virtual time.
const (
	writableWithin = 40 * second
	wholeWithin    = 90 * second
	aliasWithin    = 5 * second
	readersWithin  = 10 * second // a standby that is cut off is noticed when replication times out
	// mostStarts is how often a node's server may begin without being of use in between.
	mostStarts = 8
)

// watch looks every half second whether the cluster is as it should be.
func (w *world) watch() {
	w.at(nil, laneWorld, second/2, w.watch)
	w.watchAlias()
	w.shrunk()
	if w.active > 0 {
		return
	}
	if w.faultsAt == 0 {
		w.faultsAt, w.log.faultsEnd = w.now, w.now
		w.tracef(nil, "all faults have ended")
	}
	since := w.now - w.faultsAt
	if w.log.writableAt == 0 && w.log.lastAck > w.faultsAt && w.primary() != nil {
		w.log.writableAt = w.now
	}
	if w.log.writableAt == 0 && since > writableWithin {
		w.violate("stuck", "no writable primary: "+w.describe())
		return
	}
	if w.whole() {
		w.log.wholeAt = w.now
		w.done = true
		return
	}
	if since > wholeWithin {
		w.violate("stuck", "not all members are healthy: "+w.describe())
	}
}

// primary returns the one server that accepts writes under a lease.
func (w *world) primary() *node {
	for _, n := range w.nodes {
		if n.up && !n.frozen && n.server.writable() && n.server.state == decide.Up && w.consul.view.Leader.Value.Holder == n.disk.identity {
			return n
		}
	}
	return nil
}

// whole says whether every node is a member in its place.
func (w *world) whole() bool {
	p := w.primary()
	if p == nil || w.now-w.log.lastAck > 2*second || w.consul.view.Alias.Primary != p.name {
		return false
	}
	members := w.consul.view.Members.Value
	expected := 0
	for _, n := range w.nodes {
		if n.deleted {
			continue
		}
		expected++
		if !members.Has(n.name, n.disk.identity) || !n.up {
			return false
		}
		if n != p && (n.server.recv == nil || n.server.recv.primary != p || !n.keeper.up) {
			return false
		}
	}
	if len(members) != expected || (expected == 1 && (!p.disk.memory.Sole || p.guard.deadline != decide.Forever)) {
		return false
	}
	if w.plan.Mode == decide.Quorum && len(p.server.syncNames) != expected-1 {
		return false
	}
	return true
}

func (w *world) watchAlias() {
	p := w.primary()
	reaches := p != nil && w.net.cut[p.index][consulHost] == 0 && w.net.cut[consulHost][p.index] == 0 && w.net.slow == 0 &&
		w.consul.away == 0 && w.consul.leading == 0 && p.keeper.up && !p.keeper.stopped && w.plan.Late == 0 && w.plan.Stale == 0
	alias := &w.consul.view.Alias
	if w.lasts(&w.log.aliasOff, reaches && alias.Primary != p.name, aliasWithin) {
		w.violate("alias", fmt.Sprintf("names %s while %s is the primary", alias.Primary, p.name))
	}
	if w.lasts(&w.log.readersOff, reaches && !w.readable(p), readersWithin) {
		w.violate("alias", fmt.Sprintf("names the replicas %v while %s is the primary", alias.Replicas, p.name))
	}
}

// lasts says whether something that is wrong has been so for longer than its bound.
func (w *world) lasts(since *int64, wrong bool, bound int64) bool {
	if !wrong {
		*since = 0
		return false
	}
	if *since == 0 {
		*since = w.now
	}
	return w.now-*since > bound
}

// readable says whether the alias names exactly the standbys that stream from the primary.
func (w *world) readable(p *node) bool {
	replicas := w.consul.view.Alias.Replicas
	streams := 0
	for _, st := range p.server.streams {
		if _, member := w.consul.view.Members.Value.Of(st.standby.name); !st.senderOpen || !member {
			continue
		}
		streams++
		if !contains(replicas, st.standby.name) {
			return false
		}
	}
	return streams == len(replicas)
}

// starts notes that a node's server has begun. One that begins again and again and never
// streams or accepts writes is in a loop.
func (w *world) starts(n *node) {
	if n.starts++; n.starts > mostStarts {
		w.violate("loop", fmt.Sprintf("%s has begun its server %d times to no purpose: %s", n.name, n.starts, w.describe()))
	}
}

// describe says in a line what every node is doing.
func (w *world) describe() string {
	text := fmt.Sprintf("lease %+v, sync %v, members %v", w.consul.view.Leader.Value, w.consul.view.Sync.Value, w.consul.view.Members.Value)
	for _, n := range w.nodes {
		text += fmt.Sprintf("; %s %s (%s), server %s", n.name, n.keeper.status.Role, n.keeper.status.Why, n.server.state)
	}
	return text
}
