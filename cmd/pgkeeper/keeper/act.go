package keeper

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/boottime"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/guard"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/status"
)

// serverKinds are the actions that work on PostgreSQL, of which one runs at a time.
const serverKinds = decide.Kinds(1<<decide.KindInitDB | 1<<decide.KindStart | 1<<decide.KindStopCleanly | 1<<decide.KindPromote |
	1<<decide.KindDetach | 1<<decide.KindFollow | 1<<decide.KindSetSync | 1<<decide.KindRewind | 1<<decide.KindClone | 1<<decide.KindRemember)

var purposes = map[decide.Purpose]string{
	decide.TakeLease: "take", decide.RenewLease: "renew", decide.ReleaseLease: "release", decide.GiveBack: "give back",
}

// guardWithin bounds what the guard answers at once.
const guardWithin = time.Second

// begin notes that an action runs and returns what carries it out. mu is held.
func (k *Keeper) begin(ctx context.Context, action decide.Action) func() {
	kind := action.Kind()
	switch a := action.(type) {
	case decide.Reply:
		k.answer(a)
		return nil
	case decide.ComparePeers:
		k.facts.pollNow()
		return nil
	case decide.ExtendFence:
		k.askExtension(a.Deadline)
		return nil
	}
	k.facts.running = k.facts.running.With(kind)
	if serverKinds.Has(kind) {
		within, cancel := context.WithCancel(ctx)
		k.facts.endServer = cancel
		k.log.Info("begins", "action", fmt.Sprintf("%T", action), "detail", fmt.Sprintf("%+v", action))
		return func() {
			defer cancel()
			k.workOnServer(within, action)
		}
	}
	switch a := action.(type) {
	case decide.Write:
		if a.Purpose != decide.RenewLease {
			k.log.Info("writes the lease", "purpose", purposes[a.Purpose], "why", a.Why, "epoch", a.Leader.Value.Epoch)
		}
		nodes := k.facts.consul.View.Nodes
		return func() { k.done(k.store.Write(ctx, a, nodes)) }
	case decide.Fence:
		if k.facts.endServer != nil {
			k.facts.endServer()
		}
		return func() { k.done(result(a, k.kill(ctx, a.Why))) }
	case decide.AskPromises:
		return func() { k.askPromises(ctx, a) }
	case decide.AskDetaches:
		return func() { k.askDetaches(ctx, a) }
	}
	return func() { k.done(result(action, k.aside(ctx, action))) }
}

// aside carries out what may run beside others.
func (k *Keeper) aside(ctx context.Context, action decide.Action) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	switch a := action.(type) {
	case decide.Register:
		return k.store.Register(ctx, a.Registration)
	case decide.Checkpoint:
		return k.cluster.Checkpoint(ctx)
	case decide.CreateSlot:
		return k.cluster.CreateSlot(ctx, a.Node)
	case decide.DropSlot:
		return k.cluster.DropSlot(ctx, a.Node)
	case decide.AdvanceSlots:
		return k.cluster.AdvanceSlots(ctx)
	}
	return fmt.Errorf("unknown action %T", action)
}

// workOnServer carries out an action on PostgreSQL. Before its end is reported
// the server and the disk are looked at again, so that both are judged together.
func (k *Keeper) workOnServer(ctx context.Context, action decide.Action) {
	began := time.Now()
	k.serverMu.Lock()
	err := k.onServer(ctx, action)
	fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), inspectWithin)
	defer cancel()
	if state, fault := k.guard.Get(fresh); fault == nil {
		k.mu.Lock()
		k.facts.guard = state
		k.mu.Unlock()
		if state.Phase == guard.Running {
			k.lookAtServer(fresh)
		}
		k.storeData(fresh, state.Phase == guard.Gone)
	}
	k.serverMu.Unlock()
	k.log.Info("ends", "action", fmt.Sprintf("%T", action), "took", time.Since(began).Round(time.Millisecond).String(), "error", err)
	k.done(result(action, err))
}

func (k *Keeper) onServer(ctx context.Context, action decide.Action) error {
	bounded := func(d time.Duration) context.Context {
		within, cancel := context.WithTimeout(ctx, d)
		context.AfterFunc(ctx, cancel)
		return within
	}
	short := k.config.TakeoverWithin
	switch a := action.(type) {
	case decide.InitDB:
		return k.cluster.InitDB(bounded(5 * time.Minute))
	case decide.Start:
		if a.Standby {
			// Known before the server runs: without it, it would count as a primary's.
			if err := k.cluster.MakeStandby(); err != nil {
				return err
			}
			k.mu.Lock()
			k.facts.data.Standby = true
			k.mu.Unlock()
		}
		return k.cluster.Start(bounded(10*time.Minute), a)
	case decide.StopCleanly:
		return k.cluster.StopCleanly(bounded(a.Within+time.Minute), a.Within)
	case decide.Promote:
		return k.cluster.Promote(bounded(2*time.Minute), a)
	case decide.Detach:
		return k.cluster.Detach(bounded(short))
	case decide.Follow:
		return k.cluster.Follow(bounded(short), a)
	case decide.SetSyncNames:
		return k.cluster.SetSyncNames(bounded(time.Minute), a.Names)
	case decide.Remember:
		return k.cluster.Remember(a.Memory)
	case decide.Rewind:
		return k.cluster.Rewind(ctx, a)
	case decide.Clone:
		k.mu.Lock()
		k.facts.retired = false
		k.mu.Unlock()
		return k.cluster.Clone(ctx, a)
	}
	return fmt.Errorf("unknown action %T", action)
}

// kill has the guard kill the server, and does it itself when the guard does not answer.
func (k *Keeper) kill(ctx context.Context, why string) error {
	k.log.Warn("fences", "why", why)
	within, cancel := context.WithTimeout(ctx, 25*time.Second)
	defer cancel()
	err := k.guard.Kill(within, why)
	if err == nil {
		return nil
	}
	_, err = guard.Sweep(k.settings.PostgreSQL.Data)
	return err
}

// askExtension leaves a deadline for the one who talks to the guard; only the newest counts.
func (k *Keeper) askExtension(deadline decide.Instant) {
	select {
	case <-k.extend:
	default:
	}
	k.extend <- deadline
}

// extendFence tells the guard its deadlines, in order and beside everything else.
func (k *Keeper) extendFence(ctx context.Context) {
	for {
		var deadline decide.Instant
		select {
		case <-ctx.Done():
			return
		case deadline = <-k.extend:
		}
		within, cancel := context.WithTimeout(ctx, guardWithin)
		state, err := k.guard.Extend(within, deadline)
		timedOut := within.Err() != nil
		cancel()
		k.mu.Lock()
		if err == nil {
			k.facts.guard.Deadline, k.facts.reachable = state.Deadline, true
		} else {
			k.log.Error("the guard's deadline was not extended", "error", err)
			k.facts.reachable = !timedOut
		}
		k.mu.Unlock()
		nudge(k.wake)
	}
}

// aliveEvery is well within what the guard waits for it.
const aliveEvery = 3 * time.Second

// sayAlive tells the guard from time to time that decisions are made.
func (k *Keeper) sayAlive(ctx context.Context) {
	beat := time.NewTicker(aliveEvery)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		}
		if !k.decided.Swap(false) {
			continue
		}
		within, cancel := context.WithTimeout(ctx, guardWithin)
		if err := k.guard.Alive(within); err != nil && ctx.Err() == nil {
			k.log.Error("the guard was not told that the keeper decides", "error", err)
		}
		cancel()
	}
}

func (k *Keeper) askPromises(ctx context.Context, a decide.AskPromises) {
	answers := make(chan decide.Result, len(a.Nodes))
	for _, node := range a.Nodes {
		go func() {
			r := decide.Result{Action: a, Node: node, Started: boottime.Now()}
			answer, err := k.askPeer(ctx, node, decide.Request{Ask: decide.AskPromise, From: k.settings.Node, Holder: a.Holder, Epoch: a.Epoch})
			switch {
			case err != nil:
				r.Outcome, r.Err = decide.Failed, err.Error()
			case !answer.Granted:
				r.Outcome, r.Err = decide.Refused, answer.Why
			}
			answers <- r
		}()
	}
	for left := len(a.Nodes); left > 0; left-- {
		r := <-answers
		r.Last = left == 1
		if r.Last {
			k.done(r)
		} else {
			k.deliver(r)
		}
	}
}

func (k *Keeper) askDetaches(ctx context.Context, a decide.AskDetaches) {
	ended := make(chan struct{}, len(a.Nodes))
	for _, node := range a.Nodes {
		go func() {
			_, _ = k.askPeer(ctx, node, decide.Request{Ask: decide.AskDetach, From: k.settings.Node, Holder: a.Holder, Epoch: a.Epoch})
			ended <- struct{}{}
		}()
	}
	for range a.Nodes {
		<-ended
	}
	k.done(decide.Result{Action: a})
	k.mu.Lock()
	k.facts.pollNow()
	k.mu.Unlock()
}

// done notes how an action ended.
func (k *Keeper) done(r decide.Result) {
	k.mu.Lock()
	k.facts.running = k.facts.running.Without(r.Action.Kind())
	k.mu.Unlock()
	k.deliver(r)
}

func (k *Keeper) deliver(r decide.Result) {
	if r.Outcome != decide.OK {
		k.log.Warn("an action did not succeed", "action", fmt.Sprintf("%T", r.Action), "outcome", r.Outcome.String(), "error", r.Err)
	}
	k.mu.Lock()
	k.facts.results = append(k.facts.results, r)
	k.mu.Unlock()
	nudge(k.wake)
}

func result(action decide.Action, err error) decide.Result {
	if err != nil {
		return decide.Result{Action: action, Outcome: decide.Failed, Err: err.Error()}
	}
	return decide.Result{Action: action}
}

// Ask hands a request to the next decision and waits for its reply.
func (k *Keeper) Ask(ctx context.Context, r decide.Request) (status.Answer, error) {
	answer := make(chan status.Answer, 1)
	k.mu.Lock()
	k.facts.lastID++
	r.ID = k.facts.lastID
	k.facts.requests = append(k.facts.requests, r)
	k.facts.waiting[r.ID] = answer
	k.mu.Unlock()
	nudge(k.wake)
	select {
	case got := <-answer:
		return got, nil
	case <-ctx.Done():
		k.mu.Lock()
		delete(k.facts.waiting, r.ID)
		k.mu.Unlock()
		return status.Answer{}, fmt.Errorf("the request is still being worked on: %w", ctx.Err())
	}
}

// answer sends a reply to who waits for it. mu is held.
func (k *Keeper) answer(r decide.Reply) {
	if waiting, found := k.facts.waiting[r.ID]; found {
		waiting <- status.Answer{Granted: r.Granted, Why: r.Why}
		delete(k.facts.waiting, r.ID)
	}
}
