package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// Units of virtual time.
const (
	millisecond = int64(time.Millisecond)
	second      = int64(time.Second)
)

// world is one schedule's run.
type world struct {
	now   int64
	queue queue
	rng   *rand.Rand
	opt   options
	plan  *schedule
	trace io.Writer

	nodes    []*node
	consul   consul
	net      network
	branches []*branch
	ids      int

	log      checks
	done     bool
	faultsAt int64 // when the last fault has ended; 0: not yet
	active   int   // faults under way

	shrinking bool // the cluster is to become a single server
}

func newWorld(plan *schedule, opt options, trace io.Writer) *world {
	w := &world{plan: plan, opt: opt, trace: trace, rng: rand.New(rand.NewPCG(plan.Seed, 0x5eed))}
	w.queue.heap = make([]event, 0, 512)
	for i := range plan.Nodes {
		w.nodes = append(w.nodes, w.newNode(i, plan.Nodes[i]))
	}
	w.net.init(len(w.nodes))
	for _, n := range w.nodes {
		w.at(nil, laneWorld, n.spec.StartAt, func() {
			if n.vm == 0 && !n.deleted {
				n.boot()
			}
		})
	}
	for i := range plan.Faults {
		f := &plan.Faults[i]
		w.active++
		w.at(nil, laneWorld, f.At, func() { w.inject(f) })
	}
	w.at(nil, laneWorld, second, w.watch)
	return w
}

// run lets events happen until the schedule is over.
func (w *world) run() {
	for len(w.queue.heap) > 0 && !w.done {
		e := w.queue.pop()
		w.now = e.at
		n := e.node
		if n == nil {
			e.fn()
			continue
		}
		if e.vm != n.vm || !n.up || (e.proc != 0 && e.proc != n.proc(e.lane)) {
			continue
		}
		if n.frozen || (e.lane == laneKeeper && n.keeper.stopped) {
			n.deferred = append(n.deferred, e)
			continue
		}
		e.fn()
	}
}

// at lets fn happen after a delay. With a node, it happens there: only if the
// machine has not been rebooted and the lane's process not been replaced.
func (w *world) at(n *node, l lane, delay int64, fn func()) {
	e := event{at: w.now + delay, node: n, lane: l, fn: fn}
	if n != nil {
		e.vm = n.vm
		e.proc = n.proc(l)
	}
	w.queue.push(e)
}

// between returns a random duration.
func (w *world) between(low, high int64) int64 { return low + w.rng.Int64N(high-low+1) }

// chance says yes with probability p.
func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

func (w *world) tracef(n *node, format string, args ...any) {
	if w.trace == nil {
		return
	}
	who := "world "
	if n != nil {
		who = string(n.name)
	}
	fmt.Fprintf(w.trace, "%9.3f %-7s %s\n", float64(w.now)/float64(second), who, fmt.Sprintf(format, args...))
}

// node is one machine.
type node struct {
	w       *world
	index   int
	name    decide.Node
	address string
	spec    nodeSpec
	cfg     decide.Config

	up       bool
	vm       uint32 // counts boots
	bootAt   int64
	frozen   bool
	full     int  // faults under way that fill its disk
	spared   bool // it has crashed of that, and given its reserve up
	deferred []event

	disk   disk
	server server
	guard  guard
	keeper keeper
	woken  int64 // when it last thawed
	starts int   // of its server, since it last streamed or accepted writes

	deleted bool // for good
}

func (w *world) newNode(index int, spec nodeSpec) *node {
	name := decide.Node(fmt.Sprintf("node-%d", index))
	n := &node{w: w, index: index, name: name, address: fmt.Sprintf("10.0.0.%d", index+1), spec: spec}
	n.cfg = decide.Defaults(name, n.address, w.plan.Mode)
	n.cfg.Stuck = 10 * time.Second
	n.cfg.WithoutFence, n.cfg.WithoutReceiverWait = w.opt.WithoutFence, w.opt.WithoutReceiverWait
	n.cfg.WithoutPromises = w.opt.WithoutPromises
	n.server.n, n.guard.n, n.keeper.n = n, n, n
	n.server.up = -1
	return n
}

// proc is the count of starts of a lane's process.
func (n *node) proc(l lane) uint32 {
	switch l {
	case laneServer:
		return n.server.gen
	case laneGuard:
		return n.guard.gen
	case laneKeeper:
		return n.keeper.gen
	}
	return 0
}

// clock is CLOCK_BOOTTIME here: it runs at its own rate and begins at the boot.
func (n *node) clock() decide.Instant {
	return decide.Instant(second + int64(float64(n.w.now-n.bootAt)*n.spec.Rate))
}

// untilClock is how long, in true time, it takes until the node's clock shows t.
func (n *node) untilClock(t decide.Instant) int64 {
	left := int64(t) - int64(n.clock())
	if left <= 0 {
		return 0
	}
	return int64(float64(left)/n.spec.Rate) + 1
}

// boot starts the machine: monit starts the guard, that the keeper. Nothing starts PostgreSQL.
func (n *node) boot() {
	n.up, n.frozen = true, false
	n.vm++
	n.bootAt = n.w.now
	n.deferred = nil
	n.server.vanish()
	n.w.tracef(n, "boots")
	n.guard.begin()
}

// halt ends the machine: nothing runs any more, the disk stays.
func (n *node) halt() {
	n.w.tracef(n, "halts")
	n.server.crash()
	n.guard.up, n.keeper.up = false, false
	n.keeper.stopped = false
	n.up, n.frozen = false, false
	n.vm++
	n.deferred = nil
	n.keeper.dropEffects()
}

// freeze stops everything on the machine, its clock excepted.
func (n *node) freeze() {
	if n.up && !n.frozen {
		n.frozen = true
		n.w.tracef(n, "freezes")
	}
}

// thaw lets it go on: what was due happens now, process by process in any order.
func (n *node) thaw() {
	if !n.up || !n.frozen {
		return
	}
	n.frozen = false
	n.woken = n.w.now
	n.w.tracef(n, "thaws")
	var lag [lanes]int64
	for i := range lag {
		lag[i] = n.w.between(0, 80*millisecond)
	}
	due := n.deferred
	n.deferred = nil
	for _, e := range due {
		e.at = n.w.now + lag[e.lane]
		n.w.queue.push(e)
	}
}

// resume lets a stopped keeper go on.
func (n *node) resume() {
	n.keeper.stopped = false
	due := n.deferred
	n.deferred = nil
	for _, e := range due {
		if e.lane != laneKeeper {
			n.deferred = append(n.deferred, e)
			continue
		}
		e.at = n.w.now
		n.w.queue.push(e)
	}
}
