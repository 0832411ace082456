package main

// consulHost is the index of Consul's servers in the network.
const consulHost = 3

// network joins the nodes and Consul.
type network struct {
	cut  [4][4]int // how many faults cut the way from one to another
	slow int       // faults that make it slow
	loss float64
}

func (n *network) init(int) {}

// cutOff counts a cut (or, with -1, its end) of the ways between two.
func (n *network) cutOff(a, b, by int, oneWay bool) {
	n.cut[a][b] += by
	if !oneWay {
		n.cut[b][a] += by
	}
}

// isolate cuts a node off from all others and from Consul.
func (n *network) isolate(node, by int, oneWay bool) {
	for other := range n.cut {
		if other != node {
			n.cutOff(node, other, by, oneWay)
		}
	}
}

// passes returns the delay of a message, or false when it is lost.
func (w *world) passes(from, to int) (int64, bool) {
	if w.net.cut[from][to] > 0 {
		return 0, false
	}
	if w.net.slow > 0 {
		if w.chance(w.net.loss) {
			return 0, false
		}
		if w.chance(0.02) { // sent again and again by TCP
			return w.between(500*millisecond, 6*second), true
		}
		return w.between(20*millisecond, 400*millisecond), true
	}
	return w.between(millisecond/5, 3*millisecond), true
}

// send carries a message from one node to a process of another.
func (w *world) send(from, to *node, l lane, fn func()) {
	if delay, ok := w.passes(from.index, to.index); ok && to.up {
		w.at(to, l, delay, fn)
	}
}
