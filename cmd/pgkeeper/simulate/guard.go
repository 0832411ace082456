package main

import "github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"

// guard is the parent of the server: it kills it at the deadline, and restarts the keeper.
type guard struct {
	n        *node
	gen      uint32
	up       bool
	deadline decide.Instant
	timer    decide.Instant // the deadline that an event is waiting for
}

// begin starts the guard: it sweeps what it finds and starts the keeper.
func (g *guard) begin() {
	n := g.n
	g.gen++
	g.up = true
	g.deadline = decide.Forever
	g.timer = 0
	n.server.crash()
	if !n.keeper.up {
		n.keeper.begin()
	}
}

// die is the guard's end: the server ends with it, monit starts another.
func (g *guard) die() {
	n, w := g.n, g.n.w
	if !g.up {
		return
	}
	w.tracef(n, "guard is killed")
	g.gen++
	g.up = false
	w.at(n, laneWorld, w.between(0, 40*millisecond), n.server.crash)
	if w.chance(0.5) {
		n.keeper.die(false)
	}
	w.at(n, laneWorld, w.between(second, 6*second), func() {
		if !g.up {
			g.begin()
		}
	})
}

// arm sets the deadline of a server that is about to accept writes.
func (g *guard) arm(deadline decide.Instant) bool {
	if deadline != decide.Forever && deadline <= g.n.clock() {
		return false
	}
	g.deadline = deadline
	g.watch()
	return true
}

// extend prolongs the deadline, unless it has passed.
func (g *guard) extend(deadline decide.Instant) bool {
	if !g.up || (g.deadline != decide.Forever && g.n.clock() >= g.deadline) {
		return false
	}
	g.deadline = deadline
	g.watch()
	return true
}

// watch waits for the deadline. The guard is late by the machine's scheduling,
// which is less than lease − hold leaves when clocks differ.
func (g *guard) watch() {
	n, w := g.n, g.n.w
	if g.deadline == decide.Forever || (g.timer != 0 && g.timer <= g.deadline) {
		return
	}
	g.timer = g.deadline
	late := w.between(0, 20*millisecond)
	if w.chance(0.1) {
		late = w.between(0, w.plan.Lateness)
	}
	w.at(n, laneGuard, n.untilClock(g.deadline)+late, func() {
		g.timer = 0
		switch {
		case g.deadline == decide.Forever:
		case n.clock() < g.deadline:
			g.watch()
		case n.server.state != decide.Gone:
			w.tracef(n, "guard fences, deadline %s", g.deadline)
			w.fenced(n)
			n.server.crash()
		}
	})
}
