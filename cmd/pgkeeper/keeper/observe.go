package keeper

import (
	"context"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/boottime"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/guard"
)

const (
	lookWithin = 9 * time.Second // below decide.Config.Hung: a machine that is overloaded is no server that hangs
	lookEvery  = 500 * time.Millisecond
	lookHot    = 30 * time.Millisecond
	// settled is how long a promoted server is left to its clients before what a
	// new primary needs is made sure of: it had all of it from the one before.
	settled       = 3 * time.Second
	inspectWithin = 2 * time.Minute // it may read gigabytes of log for its end
)

// guardChanged takes in what the guard says of the processes.
func (k *Keeper) guardChanged(state guard.State) {
	k.mu.Lock()
	before := k.facts.guard
	k.facts.guard, k.facts.reachable = state, true
	if state.Phase == guard.Remains && before.Phase != guard.Remains {
		k.facts.remainsSince = boottime.Now()
	}
	k.mu.Unlock()
	if state.Phase == guard.Gone && before.Phase != guard.Gone {
		k.cluster.Forget()
		nudge(k.inspect)
	}
	if state.Starts != before.Starts {
		nudge(k.look)
	}
	nudge(k.wake)
}

func (k *Keeper) viewed(view decide.View) {
	k.mu.Lock()
	if k.facts.consul.FailingSince != 0 {
		k.log.Info("consul answers again")
	}
	now, before := &view.Leader.Value, &k.facts.consul.View.Leader.Value
	if now.Epoch != before.Epoch || now.Released != before.Released {
		k.facts.hotUntil = boottime.Now().Add(hot)
		k.facts.pollNow()
		nudge(k.look)
	}
	k.facts.consul = decide.Consul{View: view}
	k.mu.Unlock()
	nudge(k.wake)
}

func (k *Keeper) consulFailed(began decide.Instant, err error) {
	k.mu.Lock()
	if k.facts.consul.FailingSince == 0 {
		k.facts.consul.FailingSince = began
		k.log.Warn("consul does not answer", "error", err)
	}
	k.mu.Unlock()
	nudge(k.wake)
}

// observeServer looks at the running server twice a second, more often while it
// starts or the lease passes on, and at once when asked.
func (k *Keeper) observeServer(ctx context.Context) {
	for {
		k.mu.Lock()
		runs := k.facts.guard.Phase == guard.Running
		hurry := k.facts.serverOf != k.facts.guard.Starts || boottime.Now().Before(k.facts.hotUntil)
		k.mu.Unlock()
		pause := lookEvery
		if runs {
			k.lookAtDisk()
			k.lookAtServer(ctx)
			if hurry {
				pause = lookHot
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-k.look:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// lookAtDisk reads how much room there is. What was known stays when it cannot be read.
func (k *Keeper) lookAtDisk() {
	disk, err := k.cluster.Disk()
	if err != nil {
		k.log.Error("the disk's room is not known", "error", err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.facts.disk = disk
}

// lookAtServer reads the server's state.
func (k *Keeper) lookAtServer(ctx context.Context) {
	k.mu.Lock()
	starts := k.facts.guard.Starts
	k.mu.Unlock()
	within, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	server, err := k.cluster.Observe(within)
	if err != nil {
		k.mu.Lock()
		if k.facts.silence != err.Error() {
			k.facts.silence = err.Error()
			k.log.Warn("the server does not answer", "error", err)
		}
		k.mu.Unlock()
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.facts.guard.Starts != starts || k.facts.guard.Phase == guard.Gone {
		return // it was another server that answered
	}
	promoted := k.facts.serverOf == starts && k.facts.server.InRecovery
	k.facts.server, k.facts.serverOf, k.facts.silence = server, starts, ""
	if !server.InRecovery && k.facts.primaryOf != starts {
		k.facts.primaryOf = starts
		if promoted {
			time.AfterFunc(settled, func() { nudge(k.ensured) })
		} else {
			nudge(k.ensured)
		}
	}
	if server.Streaming && !k.facts.retired {
		k.facts.retired = true
		go k.retire()
	}
	nudge(k.wake)
}

// retire removes the data that a clone replaced, now that the clone streams.
func (k *Keeper) retire() {
	if err := k.cluster.Retire(); err != nil {
		k.log.Error("old data are left", "error", err)
	}
}

// inspectData reads the disk at the beginning, when the server has gone and after actions.
func (k *Keeper) inspectData(ctx context.Context) {
	for {
		k.readData(ctx)
		var again <-chan time.Time
		k.mu.Lock()
		known := k.facts.dataKnown
		k.mu.Unlock()
		if !known {
			again = time.After(time.Second)
		}
		select {
		case <-ctx.Done():
			return
		case <-k.inspect:
		case <-again:
		}
	}
}

// readData reads what is quick to read first, then looks for the end of the log
// of a server that is gone; unless the action that ended it has read both.
func (k *Keeper) readData(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, inspectWithin)
	defer cancel()
	k.serverMu.Lock()
	k.mu.Lock()
	known := k.facts.guard.Phase == guard.Gone && k.facts.data.Ended && k.facts.data.Exact
	k.mu.Unlock()
	if !known {
		k.storeData(ctx, false)
	}
	k.serverMu.Unlock()
	k.mu.Lock()
	gone := k.facts.guard.Phase == guard.Gone && k.facts.data.Present
	starts := k.facts.guard.Starts
	k.mu.Unlock()
	if known || !gone {
		return
	}
	data, err := k.cluster.Inspect(ctx, true)
	if err != nil {
		k.log.Debug("the end of the log was not found", "error", err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.facts.guard.Phase == guard.Gone && k.facts.guard.Starts == starts && k.facts.running&serverKinds == 0 {
		k.facts.data = data
		nudge(k.wake)
	}
}

// storeData reads the disk. What is on it is not forgotten because it could not be read once.
func (k *Keeper) storeData(ctx context.Context, gone bool) {
	data, err := k.cluster.Inspect(ctx, gone)
	if err != nil {
		k.log.Error("the data cannot be inspected", "error", err)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.facts.data, k.facts.dataKnown = data, true
	nudge(k.wake)
}

// afterPromote makes what nodes need of a primary, and runs the job's hook, each
// time that the node has become one.
func (k *Keeper) afterPromote(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.ensured:
		}
		for {
			within, cancel := context.WithTimeout(ctx, 30*time.Second)
			err := k.cluster.EnsureLogin(within)
			cancel()
			if err == nil || ctx.Err() != nil || !k.isPrimary() {
				break
			}
			k.log.Warn("the nodes' login is not there yet", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
		within, cancel := context.WithTimeout(ctx, 30*time.Second)
		if err := k.cluster.LeaveSegment(within); err != nil && k.isPrimary() {
			k.log.Warn("the log of earlier timelines stays", "error", err)
		}
		cancel()
		k.cluster.AfterPromote(ctx)
	}
}

func (k *Keeper) isPrimary() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	server := k.facts.serverNow()
	return server.State == decide.Up && !server.InRecovery
}
