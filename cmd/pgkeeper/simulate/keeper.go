package main

import (
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// keeper is the process around decide.Decide: it observes, decides and acts.
type keeper struct {
	n       *node
	gen     uint32
	up      bool
	stopped bool // SIGSTOP

	state    decide.State
	seen     decide.Observation
	status   decide.Status // as peers get it
	polls    [3]poll
	catalog  decide.Alias
	listed   int64 // when the catalog was last read; 0: never
	readAt   int64 // when the running reading of Consul began; 0: none
	lastRead int64
	write    *decide.Write
	writeAt  int64
	writeID  int
	asking   promiseRound
	waiting  []waiter
	changed  bool // Decide is to be called in this instant
}

// poll is the state of asking one peer for its status.
type poll struct {
	sentAt int64 // 0: none under way
	last   int64
}

// waiter waits for the answer to a request.
type waiter struct {
	id uint64
	fn func(granted bool)
}

// promiseRound is one AskPromises under way.
type promiseRound struct {
	action decide.AskPromises
	began  int64
	left   int
	round  int
}

// begin starts the process, with an empty memory.
func (k *keeper) begin() {
	n, w := k.n, k.n.w
	gen := k.gen + 1
	*k = keeper{n: n, gen: gen, up: true, waiting: k.waiting}
	k.seen.Peers = make([]decide.Peer, 0, 2)
	for _, other := range w.nodes {
		if other != n {
			k.seen.Peers = append(k.seen.Peers, decide.Peer{Node: other.name})
		}
	}
	k.writeID = int(gen) << 16
	k.look()
	w.tracef(n, "keeper begins")
	w.at(n, laneKeeper, w.between(millisecond, 50*millisecond), k.tick)
}

// die ends the process. What it had the server or the guard do goes on; its
// children (a rewind, a clone) end.
func (k *keeper) die(restart bool) {
	n, w := k.n, k.n.w
	if !k.up {
		return
	}
	w.tracef(n, "keeper is killed")
	k.gen++
	k.up, k.stopped = false, false
	k.dropEffects()
	if restart {
		w.at(n, laneGuard, w.between(50*millisecond, 600*millisecond), func() {
			if n.guard.up && !k.up {
				k.begin()
			}
		})
	}
}

// dropEffects forgets what was asked for and never answered.
func (k *keeper) dropEffects() {
	k.waiting = nil
}

// tick looks at everything and decides.
func (k *keeper) tick() {
	n, w := k.n, k.n.w
	w.at(n, laneKeeper, int64(n.cfg.Tick), k.tick)
	k.look()
	if k.readAt != 0 && w.now-k.readAt > 1500*millisecond {
		k.failed()
		k.readAt = 0
	}
	if k.readAt == 0 && w.now-k.lastRead >= 400*millisecond {
		k.read()
	}
	if k.write != nil && w.now-k.writeAt > 1400*millisecond {
		k.wrote(k.writeID, decide.Unknown, k.writeAt, nil)
	}
	if k.asking.left > 0 && w.now-k.asking.began > second {
		k.asking.left = 0
		k.seen.Running = k.seen.Running.Without(decide.KindAskPromise)
	}
	for i := range k.seen.Peers {
		p := &k.polls[i]
		if p.sentAt != 0 && w.now-p.sentAt > second {
			p.sentAt = 0
			k.seen.Peers[i].Failing = true
		}
		if p.sentAt == 0 && w.now-p.last >= 500*millisecond {
			k.poll(i)
		}
	}
	k.decide()
}

// look reads the server and the disk.
func (k *keeper) look() {
	n := k.n
	k.seen.Local.Data = n.disk.data()
	k.seen.Local.Data.Ended = n.server.state == decide.Gone
	n.server.observe(&k.seen.Local.Server)
	k.seen.Local.Disk = n.room()
	k.seen.Local.Guard = decide.Guard{Reachable: n.guard.up, Deadline: n.guard.deadline}
}

// soon has Decide called in this instant.
func (k *keeper) soon() {
	if k.changed {
		return
	}
	k.changed = true
	k.n.w.at(k.n, laneKeeper, 0, func() {
		if k.changed {
			k.decide()
		}
	})
}

// decide calls the function that all this is about.
func (k *keeper) decide() {
	n, w := k.n, k.n.w
	k.changed = false
	k.seen.Now = n.clock()
	k.seen.Local.Guard = decide.Guard{Reachable: n.guard.up, Deadline: n.guard.deadline}
	before := k.status.Why
	state, actions := decide.Decide(n.cfg, k.state, k.seen)
	k.state = state
	k.status = state.Status
	if w.trace != nil && before != k.status.Why {
		w.tracef(n, "is %s: %s", k.status.Role, k.status.Why)
	}
	k.seen.Results = k.seen.Results[:0]
	k.seen.Requests = k.seen.Requests[:0]
	for _, a := range actions {
		k.do(a)
	}
}

// read asks Consul for everything.
func (k *keeper) read() {
	n, w := k.n, k.n.w
	k.readAt, k.lastRead = w.now, w.now
	began := w.now
	asked := n.clock()
	w.askConsul(n, true, func() bool { return true }, func(_, failed bool, view decide.View) {
		if k.readAt != began {
			return
		}
		k.readAt = 0
		if failed {
			k.failed()
			return
		}
		changed := view.Leader.Index != k.seen.Consul.View.Leader.Index
		k.answered(asked, &view)
		if changed {
			k.decide()
		}
	})
}

// catalogAge is how old a keeper's knowledge of the alias may be; what it has
// written itself it knows at once.
const catalogAge = 3 * second

// answered takes in a reading.
func (k *keeper) answered(asked decide.Instant, view *decide.View) {
	view.AskedAt, view.AnsweredAt = asked, k.n.clock()
	if now := k.n.w.now; k.listed == 0 || now-k.listed >= catalogAge {
		k.catalog, k.listed = view.Alias, now
	}
	view.Alias = k.catalog
	k.seen.Consul.View = *view
	k.seen.Consul.FailingSince = 0
}

// failed notes that an attempt at Consul failed.
func (k *keeper) failed() {
	if k.seen.Consul.FailingSince == 0 {
		k.seen.Consul.FailingSince = k.n.clock()
	}
}

// poll asks a peer for its status.
func (k *keeper) poll(i int) {
	n, w := k.n, k.n.w
	p := &k.polls[i]
	other := w.byName(k.seen.Peers[i].Node)
	p.sentAt, p.last = w.now, w.now
	began := w.now
	asked := n.clock()
	gen := k.gen
	w.send(n, other, laneKeeper, func() {
		if !other.keeper.up {
			return
		}
		status := other.keeper.status
		status.Age = other.clock().Sub(status.SeenAt)
		w.reply(other, n, gen, func() {
			if p.sentAt != began {
				return
			}
			p.sentAt = 0
			k.seen.Peers[i] = decide.Peer{Node: other.name, AskedAt: asked, AnsweredAt: n.clock(), Status: status}
		})
	})
}

// reply carries an answer back to a keeper that has not been restarted meanwhile.
func (w *world) reply(from, to *node, gen uint32, fn func()) {
	if to.keeper.gen != gen {
		return
	}
	w.send(from, to, laneKeeper, fn)
}

func (w *world) byName(name decide.Node) *node {
	for _, n := range w.nodes {
		if n.name == name {
			return n
		}
	}
	return nil
}

// request brings a request to the keeper.
func (k *keeper) request(q decide.Request, fn func(bool)) {
	k.n.w.ids++
	q.ID = uint64(k.n.w.ids)
	if fn != nil {
		k.waiting = append(k.waiting, waiter{q.ID, fn})
	}
	k.seen.Requests = append(k.seen.Requests, q)
	k.soon()
}

// result brings an action's end to the keeper.
func (k *keeper) result(r decide.Result) {
	k.seen.Running = k.seen.Running.Without(r.Action.Kind())
	k.seen.Results = append(k.seen.Results, r)
	k.look()
	k.soon()
}
