package main

import (
	"fmt"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// local carries out what happens on this node.
func (k *keeper) local(action decide.Action) {
	n, w := k.n, k.n.w
	s, d := &n.server, &n.disk
	quick := w.between(5*millisecond, 80*millisecond)
	switch a := action.(type) {
	case decide.InitDB:
		k.initDB(a)
	case decide.Start:
		// The guard starts it; the result comes when it is ready or has failed.
		k.start(a, quick)
	case decide.StopCleanly:
		k.stop(a)
	case decide.Promote:
		k.promote(a)
	case decide.Detach:
		k.later(a.Kind(), quick, func() bool { return s.setUpstream(-1, 0) }, a)
	case decide.Follow:
		k.later(a.Kind(), quick, func() bool { return s.setUpstream(w.byName(a.Node).index, a.Epoch) }, a)
	case decide.SetSyncNames:
		k.later(a.Kind(), quick, func() bool {
			if s.state != decide.Up || s.hung {
				return false
			}
			s.syncNames = a.Names
			s.acknowledge()
			return true
		}, a)
	case decide.Checkpoint:
		k.later(a.Kind(), w.between(10*millisecond, 300*millisecond), func() bool { return true }, a)
	case decide.CreateSlot:
		k.later(a.Kind(), quick, func() bool { s.slots = append(s.slots[:len(s.slots):len(s.slots)], a.Node); return true }, a)
	case decide.DropSlot:
		k.later(a.Kind(), quick, func() bool { s.slots = dropNode(s.slots, a.Node); return true }, a)
	case decide.AdvanceSlots:
		k.later(a.Kind(), quick, func() bool { return true }, a)
	case decide.Remember:
		k.later(a.Kind(), quick, func() bool { d.memory = a.Memory; return true }, a)
	case decide.Rewind:
		k.rewind(a)
	case decide.Clone:
		k.clone(a)
	default:
		panic(fmt.Sprintf("no effect for %T", action))
	}
}

func dropNode(nodes []decide.Node, node decide.Node) []decide.Node {
	var left []decide.Node
	for _, one := range nodes {
		if one != node {
			left = append(left, one)
		}
	}
	return left
}

func (k *keeper) initDB(a decide.InitDB) {
	n, w := k.n, k.n.w
	d := &n.disk
	if d.present {
		w.violate("initdb", "initdb where data exist")
	}
	k.later(a.Kind(), w.between(300*millisecond, second), func() bool {
		if w.consul.view.Initialized.Index != 0 {
			w.tracef(n, "initdb ends late")
		}
		w.ids++
		system := fmt.Sprintf("system-%d", w.ids)
		b := w.newBranch(1, nil, 0, system)
		*d = disk{present: true, identity: w.newIdentity(n), system: system, clean: true, exact: true, branch: b, lsn: 1000}
		return true
	}, a)
}

func (w *world) newIdentity(n *node) decide.Identity {
	w.ids++
	return decide.Identity(fmt.Sprintf("%s-data-%d", n.name, w.ids))
}

// start has the guard start the server. The result comes when its processes run; of data
// that were rewound, when it answers.
func (k *keeper) start(a decide.Start, delay int64) {
	n, w := k.n, k.n.w
	w.at(n, laneKeeper, delay, func() {
		started := n.server.start(a)
		gen := n.server.gen
		var wait func()
		wait = func() {
			if started && n.disk.rewound != nil && n.server.gen == gen {
				w.at(n, laneKeeper, 20*millisecond, wait)
				return
			}
			outcome := decide.OK
			if !started || n.server.gen != gen {
				outcome = decide.Failed
			}
			k.result(decide.Result{Action: a, Outcome: outcome})
		}
		wait()
	})
}

func (k *keeper) stop(a decide.StopCleanly) {
	n, w := k.n, k.n.w
	gen := n.server.gen
	if !n.server.stop(int64(a.Within)) {
		k.later(a.Kind(), millisecond, func() bool { return false }, a)
		return
	}
	var wait func()
	wait = func() {
		if n.server.gen == gen && n.server.state != decide.Gone {
			w.at(n, laneKeeper, 20*millisecond, wait)
			return
		}
		k.result(decide.Result{Action: a})
	}
	w.at(n, laneKeeper, 20*millisecond, wait)
}

func (k *keeper) promote(a decide.Promote) {
	n, w := k.n, k.n.w
	gen := k.gen
	w.at(n, laneKeeper, w.between(0, 20*millisecond), func() {
		n.server.promote(a, func(done bool) {
			if k.gen != gen || !k.up {
				return
			}
			outcome := decide.OK
			if !done {
				outcome = decide.Failed
			}
			w.at(n, laneKeeper, 0, func() { k.result(decide.Result{Action: a, Outcome: outcome}) })
		})
	})
	// A server that ends during its promotion never answers.
	var watch func()
	watch = func() {
		switch {
		case !k.seen.Running.Has(a.Kind()):
		case n.server.promoting:
			w.at(n, laneKeeper, 100*millisecond, watch)
		default:
			k.result(decide.Result{Action: a, Outcome: decide.Failed})
		}
	}
	w.at(n, laneKeeper, 100*millisecond, watch)
}

// reach says whether a source can be copied from: both ways open, its server up.
func (w *world) reach(n, source *node) bool {
	_, there := w.passes(n.index, source.index)
	_, back := w.passes(source.index, n.index)
	return there && back && source.up && !source.frozen && source.server.state == decide.Up && !source.server.hung
}

func (k *keeper) rewind(a decide.Rewind) {
	n, w := k.n, k.n.w
	d := &n.disk
	source := w.byName(a.Node)
	if n.server.state != decide.Gone || !w.reach(n, source) {
		k.later(a.Kind(), 100*millisecond, func() bool { return false }, a)
		return
	}
	if w.chance(0.1) {
		k.later(a.Kind(), 300*millisecond, func() bool { return false }, a) // it found that it cannot
		return
	}
	d.rewinding = true
	gen := source.server.gen
	k.later(a.Kind(), w.between(300*millisecond, 2*second), func() bool {
		if source.server.gen != gen || !w.reach(n, source) {
			return false
		}
		b, lsn := d.branch.common(d.lsn, source.disk.branch, source.disk.lsn)
		if b == nil {
			return false
		}
		d.branch, d.lsn, d.rewound = b, lsn, &rewound{a, source.disk.branch, source.disk.lsn}
		d.rewinding, d.standby, d.clean, d.exact = false, true, true, true
		return true
	}, a)
}

func (k *keeper) clone(a decide.Clone) {
	n, w := k.n, k.n.w
	d := &n.disk
	source := w.byName(a.Node)
	if n.server.state != decide.Gone || !w.reach(n, source) {
		k.later(a.Kind(), 100*millisecond, func() bool { return false }, a)
		return
	}
	d.wipe()
	gen := source.server.gen
	k.later(a.Kind(), w.between(500*millisecond, 4*second), func() bool {
		if source.server.gen != gen || !w.reach(n, source) {
			return false
		}
		*d = disk{
			present: true, identity: w.newIdentity(n), system: source.disk.system, standby: true, clean: true, exact: true,
			branch: source.disk.branch, lsn: source.disk.lsn,
		}
		return true
	}, a)
}
