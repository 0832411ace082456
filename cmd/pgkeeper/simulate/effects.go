package main

import (
	"fmt"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// do carries out one action.
func (k *keeper) do(action decide.Action) {
	n, w := k.n, k.n.w
	kind := action.Kind()
	switch a := action.(type) {
	case decide.Reply:
		k.answer(a)
		return
	case decide.Fence:
		w.tracef(n, "fences: %s", a.Why)
		if !n.guard.up || n.server.state == decide.Remains || n.server.hung || k.sawSilence() {
			w.log.fences++
		} else {
			w.fenced(n)
		}
		k.later(kind, w.between(millisecond, 30*millisecond), func() bool { n.server.crash(); return true }, a)
		return
	}
	if w.trace != nil {
		k.tell(action)
	}
	k.seen.Running = k.seen.Running.With(kind)
	switch a := action.(type) {
	case decide.Write:
		k.send(&a)
	case decide.Register:
		k.register(a)
	case decide.AskPromises:
		k.askPromises(a)
	case decide.AskDetaches:
		k.askDetaches(a)
	case decide.ComparePeers:
		for i := range k.seen.Peers {
			k.polls[i].sentAt = 0
			k.poll(i)
		}
		k.later(kind, w.between(5*millisecond, 30*millisecond), func() bool { return true }, a)
	case decide.ExtendFence:
		k.later(kind, w.between(millisecond/5, 2*millisecond), func() bool { return n.guard.extend(a.Deadline) }, a)
	default:
		k.local(action)
	}
}

// sawSilence says whether the server, as this keeper saw it last, had hung: it is
// killed for that also when it answers again in the instant of the kill.
func (k *keeper) sawSilence() bool {
	s := &k.seen.Local.Server
	return s.State == decide.Up && k.n.clock().Sub(s.AnsweredAt) > k.n.cfg.Hung
}

// tell writes an action into the trace, unless it is one of every second.
func (k *keeper) tell(action decide.Action) {
	switch a := action.(type) {
	case decide.ExtendFence, decide.ComparePeers:
		return
	case decide.Write:
		if a.Purpose == decide.RenewLease && a.Members == nil && a.Sync == nil && a.Alias == nil && a.Initialized == nil {
			return
		}
		text := [...]string{"", "takes the lease", "renews the lease", "releases the lease", "gives the lease back"}[a.Purpose]
		text += fmt.Sprintf(", epoch %d", a.Leader.Value.Epoch)
		if a.Members != nil {
			text += fmt.Sprintf(", members %v", a.Members.Value)
		}
		if a.Sync != nil {
			text += fmt.Sprintf(", sync %v", a.Sync.Value)
		}
		if a.Alias != nil {
			text += fmt.Sprintf(", alias %v", *a.Alias)
		}
		k.n.w.tracef(k.n, "%s (%s, primary %s, %s)", text, a.Why, a.Leader.Value.Primary, a.Leader.Value.Position)
		return
	}
	k.n.w.tracef(k.n, "does %T%+v", action, action)
}

// later carries out what needs a while and reports it, if the keeper lives.
func (k *keeper) later(kind decide.Kind, delay int64, fn func() bool, action decide.Action) {
	k.n.w.at(k.n, laneKeeper, delay, func() {
		outcome := decide.OK
		if !fn() {
			outcome = decide.Failed
		}
		k.result(decide.Result{Action: action, Outcome: outcome})
	})
}

func (k *keeper) answer(a decide.Reply) {
	for i, one := range k.waiting {
		if one.id == a.ID {
			k.waiting = append(k.waiting[:i:i], k.waiting[i+1:]...)
			one.fn(a.Granted)
			return
		}
	}
}

// send writes to Consul.
func (k *keeper) send(a *decide.Write) {
	n, w := k.n, k.n.w
	k.writeID++
	id := k.writeID
	k.write, k.writeAt = a, w.now
	began := n.clock()
	w.askConsul(n, false, func() bool { return w.consul.apply(a) }, func(done, failed bool, view decide.View) {
		switch {
		case failed:
			k.wrote(id, decide.Unknown, 0, nil)
		case done:
			view.AskedAt, view.AnsweredAt = began, n.clock()
			k.wroteAt(id, decide.OK, began, &view)
		default:
			view.AskedAt, view.AnsweredAt = began, n.clock()
			k.wroteAt(id, decide.Refused, began, &view)
		}
	})
}

func (k *keeper) wrote(id int, outcome decide.Outcome, _ int64, view *decide.View) {
	k.failed()
	k.wroteAt(id, outcome, 0, view)
}

func (k *keeper) wroteAt(id int, outcome decide.Outcome, began decide.Instant, view *decide.View) {
	if k.write == nil || id != k.writeID {
		return
	}
	a := *k.write
	k.write = nil
	if view != nil {
		if outcome == decide.OK && a.Alias != nil {
			k.catalog, k.listed = *a.Alias, k.n.w.now
		}
		view.Alias = k.catalog
		k.seen.Consul.View = *view
		k.seen.Consul.FailingSince = 0
	}
	k.n.w.noteWrite(k.n, &a, outcome)
	k.result(decide.Result{Action: a, Outcome: outcome, Started: began, View: view})
}

func (k *keeper) register(a decide.Register) {
	n, w := k.n, k.n.w
	answered := false
	end := func(outcome decide.Outcome) {
		if !answered {
			answered = true
			k.result(decide.Result{Action: a, Outcome: outcome})
		}
	}
	w.askConsul(n, false, func() bool { w.consul.register(a.Registration); return true }, func(_, failed bool, _ decide.View) {
		k.lastRead = 0
		end(decide.OK)
	})
	w.at(n, laneKeeper, 1500*millisecond, func() { end(decide.Failed) })
}

// askPromises asks each member's keeper.
func (k *keeper) askPromises(a decide.AskPromises) {
	n, w := k.n, k.n.w
	k.asking = promiseRound{action: a, began: w.now, left: len(a.Nodes), round: k.asking.round + 1}
	round, gen := k.asking.round, k.gen
	for _, name := range a.Nodes {
		other := w.byName(name)
		asked := n.clock()
		w.send(n, other, laneKeeper, func() {
			if !other.keeper.up {
				return
			}
			q := decide.Request{Ask: decide.AskPromise, From: n.name, Holder: a.Holder, Epoch: a.Epoch}
			other.keeper.request(q, func(granted bool) {
				w.reply(other, n, gen, func() { k.gotPromise(a, round, name, asked, granted) })
			})
		})
	}
}

func (k *keeper) gotPromise(a decide.AskPromises, round int, name decide.Node, asked decide.Instant, granted bool) {
	if k.asking.round != round || k.asking.left == 0 {
		return
	}
	k.asking.left--
	r := decide.Result{Action: a, Node: name, Started: asked, Last: k.asking.left == 0}
	if !granted {
		r.Outcome = decide.Refused
	}
	running := k.seen.Running
	k.result(r)
	if k.asking.left > 0 {
		k.seen.Running = running
	}
}

func (k *keeper) askDetaches(a decide.AskDetaches) {
	n, w := k.n, k.n.w
	for _, name := range a.Nodes {
		other := w.byName(name)
		w.send(n, other, laneKeeper, func() {
			if other.keeper.up {
				other.keeper.request(decide.Request{Ask: decide.AskDetach, From: n.name, Holder: a.Holder, Epoch: a.Epoch}, nil)
			}
		})
	}
	k.later(a.Kind(), 50*millisecond, func() bool { return true }, a)
}
