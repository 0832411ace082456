package main

import "github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"

// consul is a linearizable store of a deployment's keys.
type consul struct {
	view    decide.View // the present values; instants unused
	index   uint64
	away    int   // outages under way: no request arrives
	leading int   // elections under way: requests fail or wait
	elected int64 // when the present election ends

	past []pastView // for stale answers
}

// pastView is what Consul held from a time on.
type pastView struct {
	at   int64
	view decide.View
}

// stale returns what was held some time ago.
func (c *consul) stale(at int64) decide.View {
	for i := len(c.past) - 1; i > 0; i-- {
		if c.past[i].at <= at {
			return c.past[i].view
		}
	}
	return decide.View{}
}

// change is one node's request to Consul. Its reply says whether the write was
// done; a lost request or reply ends in silence.
func (w *world) askConsul(n *node, read bool, apply func() bool, reply func(done, failed bool, view decide.View)) {
	delay, ok := w.passes(n.index, consulHost)
	if !ok {
		return
	}
	if w.plan.Late > 0 && w.chance(w.plan.Late) {
		delay += w.between(second, 9*second)
	}
	w.at(nil, laneWorld, delay, func() { w.consulServes(n, read, n.vm, n.keeper.gen, apply, reply) })
}

// consulServes answers one request, unless Consul is away.
func (w *world) consulServes(n *node, read bool, vm, gen uint32, apply func() bool, reply func(done, failed bool, view decide.View)) {
	c := &w.consul
	if c.away > 0 {
		return
	}
	done, failed := false, false
	if c.leading > 0 {
		if w.chance(0.5) {
			w.at(nil, laneWorld, c.elected-w.now+w.between(0, 200*millisecond), func() { w.consulServes(n, read, vm, gen, apply, reply) })
			return
		}
		failed = true
	} else {
		done = apply()
	}
	view := c.view
	if w.plan.Stale > 0 {
		c.past = append(c.past, pastView{w.now, view})
		if read && w.chance(w.plan.Stale) {
			view = c.stale(w.now - w.between(0, 10*second))
		}
	}
	delay, ok := w.passes(consulHost, n.index)
	if !ok || !n.up || n.vm != vm || n.keeper.gen != gen {
		return
	}
	w.at(n, laneKeeper, delay, func() { reply(done, failed, view) })
}

// apply is the transaction of a Write.
func (c *consul) apply(wr *decide.Write) bool {
	v := &c.view
	switch {
	case v.Leader.Index != wr.Leader.Index,
		wr.Check != nil && wr.Sync == nil && wr.Check.Sync != v.Sync.Index,
		wr.Check != nil && wr.Members == nil && wr.Check.Members != v.Members.Index,
		wr.Initialized != nil && v.Initialized.Index != 0,
		wr.Members != nil && wr.Members.Index != v.Members.Index,
		wr.Sync != nil && wr.Sync.Index != v.Sync.Index:
		return false
	}
	c.index++
	v.Leader = decide.Entry[decide.Leader]{Index: c.index, Value: wr.Leader.Value}
	if wr.Initialized != nil {
		v.Initialized = decide.Entry[decide.Initialized]{Index: c.index, Value: *wr.Initialized}
	}
	if wr.Members != nil {
		v.Members = decide.Entry[decide.Members]{Index: c.index, Value: wr.Members.Value}
	}
	if wr.Sync != nil {
		v.Sync = decide.Entry[decide.Sync]{Index: c.index, Value: wr.Sync.Value}
	}
	if wr.Alias != nil {
		v.Alias = *wr.Alias
	}
	return true
}

// register writes one node's registration.
func (c *consul) register(r decide.Registration) {
	c.index++
	nodes := make([]decide.Registration, 0, 3)
	placed := false
	for _, old := range c.view.Nodes {
		switch {
		case old.Node == r.Node:
			nodes, placed = append(nodes, r), true
		case old.Node > r.Node && !placed:
			nodes, placed = append(nodes, r, old), true
		default:
			nodes = append(nodes, old)
		}
	}
	if !placed {
		nodes = append(nodes, r)
	}
	c.view.Nodes = nodes
}
