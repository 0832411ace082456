package main

import "github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"

// faultKind is a kind of fault.
type faultKind int

// The faults, and what operators do.
const (
	crashServer     faultKind = iota // every process of PostgreSQL is killed
	crashPostmaster                  // only the postmaster: sessions go on
	hangServer
	killKeeper
	stopKeeper // SIGSTOP
	killGuard
	freeze
	reboot
	isolate
	cutLink
	cutConsul
	consulAway
	consulElection
	slowNetwork
	loseDisk
	switchover
	restartNode // drain, then a reboot
	trigger     // repmgrd elects a node
	shrink      // back to a single server: the others are removed and deleted
	fullDisk
	faultKinds
)

var faultNames = [...]string{
	"crash server", "crash postmaster", "hang server", "kill keeper", "stop keeper", "kill guard", "freeze", "reboot", "isolate",
	"cut link", "cut Consul", "Consul away", "Consul election", "slow network", "lose disk", "switchover", "restart node", "trigger", "shrink", "full disk",
}

func (k faultKind) String() string { return faultNames[k] }

// MarshalText names the fault.
func (k faultKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// inject lets a fault begin, and end after its time.
func (w *world) inject(f *fault) {
	n := w.victim(f)
	w.tracef(n, "FAULT %s, other %d, one way %v, for %.3f s", f.Kind, f.Other, f.OneWay, float64(f.For)/float64(second))
	end := func(fn func()) {
		w.at(nil, laneWorld, f.For, func() {
			w.tracef(n, "fault ends: %s", f.Kind)
			fn()
			w.active--
		})
	}
	switch f.Kind {
	case crashServer:
		n.server.crash()
		w.active--
	case crashPostmaster:
		w.crashPostmaster(n)
		w.active--
	case hangServer:
		n.server.hung = true
		gen := n.server.gen
		end(func() {
			if n.server.gen == gen {
				n.server.hung = false
			}
		})
	case killKeeper:
		if n.up {
			n.keeper.die(true)
		}
		w.active--
	case killGuard:
		if n.up {
			n.guard.die()
		}
		w.active--
	case stopKeeper:
		gen := n.keeper.gen
		n.keeper.stopped = n.keeper.up
		end(func() {
			if n.keeper.gen == gen {
				n.resume()
			}
		})
	case fullDisk:
		n.full++
		end(func() { n.full--; n.spared = n.full > 0 })
	case freeze:
		vm := n.vm
		n.freeze()
		end(func() {
			if n.vm == vm {
				n.thaw()
			}
		})
	default:
		w.injectOutside(f, n, end)
	}
}

// injectOutside is for faults of machines, networks and Consul, and for operators.
func (w *world) injectOutside(f *fault, n *node, end func(func())) {
	switch f.Kind {
	case reboot, loseDisk:
		if f.Kind == loseDisk && !w.mayLoseDisk(n) {
			f.Kind = reboot
		}
		w.reboot(n, f.Kind == loseDisk, end)
	case isolate:
		w.net.isolate(n.index, 1, f.OneWay)
		end(func() { w.net.isolate(n.index, -1, f.OneWay) })
	case cutLink, cutConsul:
		other := f.Other
		if f.Kind == cutConsul {
			other = consulHost
		}
		if other == n.index {
			other = (other + 1) % 4
		}
		w.net.cutOff(n.index, other, 1, f.OneWay)
		end(func() { w.net.cutOff(n.index, other, -1, f.OneWay) })
	case consulAway:
		w.consul.away++
		end(func() { w.consul.away-- })
	case consulElection:
		w.consul.leading++
		f.For = min(f.For, 4*second)
		w.consul.elected = max(w.consul.elected, w.now+f.For)
		end(func() { w.consul.leading-- })
	case slowNetwork:
		w.net.slow++
		w.net.loss = 0.05
		end(func() { w.net.slow-- })
	case switchover:
		if n.up && n.keeper.up {
			n.keeper.request(decide.Request{Ask: decide.AskSwitchover}, func(bool) {})
		}
		w.active--
	case trigger:
		if n.up && n.keeper.up {
			n.keeper.request(decide.Request{Ask: decide.AskTrigger}, nil)
		}
		w.active--
	case restartNode:
		w.restartNode(n, end)
	case shrink:
		w.active--
		if n.up && n.keeper.up && len(w.consul.view.Members.Value) == len(w.nodes) {
			n.keeper.request(decide.Request{Ask: decide.AskAlone}, nil)
			w.shrinking = true
		}
	}
}

// shrunk deletes the machines of the nodes that were removed.
func (w *world) shrunk() {
	members := w.consul.view.Members.Value
	if p := w.primary(); w.shrinking && p != nil && p.keeper.up && w.now%(2*second) == 0 {
		p.keeper.request(decide.Request{Ask: decide.AskAlone}, nil) // whoever wants it asks until it is so
	}
	if !w.shrinking || len(members) != 1 || len(w.nodes) == 1 {
		return
	}
	for _, n := range w.nodes {
		if !members.Has(n.name, n.disk.identity) && !n.deleted {
			w.tracef(n, "is deleted")
			n.deleted = true
			if n.up {
				n.halt()
			}
		}
	}
}

// victim is the node that a fault happens to.
func (w *world) victim(f *fault) *node {
	if f.Node >= 0 {
		return w.nodes[f.Node%len(w.nodes)]
	}
	for _, n := range w.nodes {
		if n.server.writable() {
			return n
		}
	}
	return w.nodes[0]
}

// crashPostmaster leaves sessions behind that go on until somebody ends them.
func (w *world) crashPostmaster(n *node) {
	s := &n.server
	if s.state != decide.Up || s.inRecovery {
		s.crash()
		return
	}
	s.state = decide.Remains
	w.tracef(n, "the postmaster is killed, sessions go on")
}

// reboot takes a machine away and, after the fault's time, starts it again.
func (w *world) reboot(n *node, disk bool, end func(func())) {
	if n.vm == 0 || n.deleted {
		w.active-- // not made yet, or no more
		return
	}
	if n.up {
		n.halt()
	}
	vm := n.vm
	if disk {
		w.tracef(n, "loses its disk")
		n.disk.wipe()
	}
	end(func() {
		if n.vm == vm && !n.up && !n.deleted {
			n.boot()
		}
	})
}

// mayLoseDisk says whether what was acknowledged is on the other disks, and whoever
// holds it is known to: what the design promises to survive. The disk of the
// last primary may go when others acknowledge for it, that of a standby any time.
func (w *world) mayLoseDisk(n *node) bool {
	v := &w.consul.view
	if v.Initialized.Index == 0 || len(v.Members.Value) != len(w.nodes) || len(w.nodes) == 1 || w.shrinking {
		return false
	}
	for _, other := range w.nodes {
		if d := &other.disk; other != n && (!d.present || d.rewinding || d.rewound != nil || !v.Members.Value.Has(other.name, d.identity)) {
			return false
		}
	}
	if v.Leader.Value.Primary != n.disk.identity {
		return true
	}
	for _, c := range v.Sync.Value.Copies {
		if c.ID == n.disk.identity {
			return false
		}
	}
	for _, other := range w.nodes {
		if other != n && other.disk.branch != n.disk.branch {
			return false
		}
	}
	return true
}

// restartNode is what `bosh recreate` does: drain, then a new machine with the old disk.
func (w *world) restartNode(n *node, end func(func())) {
	if !n.up || !n.keeper.up {
		w.active--
		return
	}
	vm, gone := n.vm, false
	down := func() {
		if !gone && n.vm == vm && n.up {
			gone = true
			w.reboot(n, false, end)
		} else if !gone {
			gone = true
			w.active--
		}
	}
	n.keeper.request(decide.Request{Ask: decide.AskDrain}, func(bool) { w.at(nil, laneWorld, 0, down) })
	w.at(nil, laneWorld, 40*second, down) // BOSH does not wait for ever
}
