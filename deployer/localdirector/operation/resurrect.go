package operation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// How often the resurrector looks, at least, and how it paces attempts that fail.
const (
	lookInterval = time.Second
	gatherTime   = 50 * time.Millisecond
	firstRetry   = 10 * time.Second
	lastRetry    = 5 * time.Minute
)

// VMDied tells the Director that a VM died without being deleted. It does not
// block: it is meant for vm.Config.OnDeath.
func (d *Director) VMDied(cid string) {
	select {
	case d.deaths <- cid:
	default: // the next look finds it
	}
}

// Watch brings back VMs that died and VMs whose agents fell silent, until ctx
// ends. Instances that were stopped on purpose, are ignored or have resurrection
// switched off are left alone, and so are those whose deployment a task is
// working on.
func (d *Director) Watch(ctx context.Context) {
	if d.config.ResurrectionDelay < 0 {
		return
	}
	w := newWatcher(d)
	ticker := time.NewTicker(min(lookInterval, d.config.AgentTimeout/4))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case cid := <-d.deaths:
			d.log.Warn("a VM died", "cid", cid)
			w.gather(ctx)
		case <-ticker.C:
		}
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("look for dead VMs", "error", err)
		}
	}
}

// gather waits a moment for other deaths: VMs tend to die together, and those
// of a deployment come back together when one task knows of all.
func (w *watcher) gather(ctx context.Context) {
	over := time.After(gatherTime)
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case cid := <-w.d.deaths:
			w.d.log.Warn("a VM died", "cid", cid)
		}
	}
}

// watcher remembers what it saw of instances.
type watcher struct {
	d       *Director
	mu      sync.Mutex
	health  map[string]*health // by instance ID
	busy    map[string]attempt // by deployment
	pinging map[string]bool    // by VM CID
}

func newWatcher(d *Director) *watcher {
	return &watcher{d: d, health: map[string]*health{}, busy: map[string]attempt{}, pinging: map[string]bool{}}
}

// attempt is a task that brings instances back.
type attempt struct {
	task      int64
	instances []string
}

// health is what is known of an instance that should run.
type health struct {
	cid       string
	seenAlive bool      // in this process
	answered  time.Time // the agent, for the last time
	deadSince time.Time
	attempts  int
	notBefore time.Time
}

// look finds the instances that are due and begins an attempt for each of
// their deployments.
func (w *watcher) look(ctx context.Context) error {
	paused, err := w.d.db.Setting(ctx, db.SettingResurrectionPaused)
	if err != nil || paused == "true" {
		return err
	}
	rows, err := w.d.db.AllInstances(ctx)
	if err != nil {
		return err
	}
	locked := map[string]bool{}
	for _, l := range w.d.queue.Locks() {
		if l.Type == "deployment" && len(l.Resource) > 0 {
			locked[l.Resource[0]] = true
		}
	}
	if err := w.dropFinished(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	due := map[string][]string{}
	present := map[string]bool{}
	for _, row := range rows {
		present[row.ID] = true
		if _, busy := w.busy[row.Deployment]; !busy && !locked[row.Deployment] && w.isDue(ctx, row) {
			due[row.Deployment] = append(due[row.Deployment], row.ID)
		}
	}
	for id := range w.health {
		if !present[id] {
			delete(w.health, id)
		}
	}
	w.mu.Unlock()
	for deployment, ids := range due {
		if err := w.attempt(ctx, deployment, ids); err != nil {
			return err
		}
	}
	return nil
}

// wantsVM tells whether an instance is to be kept running.
func wantsVM(row db.Instance) bool {
	return row.State == db.StateStarted && !row.Ignore && !row.ResurrectionPaused && len(row.Spec) > 0 && row.Lifecycle != "errand"
}

// isDue tells whether it is time to bring an instance back. An instance whose
// update did not end is left to whoever deploys, unless it has been seen alive
// since.
func (w *watcher) isDue(ctx context.Context, row db.Instance) bool {
	now := w.d.now()
	h := w.health[row.ID]
	cid := ""
	if row.VM != nil {
		cid = row.VM.CID
	}
	if h == nil || h.cid != cid {
		attempts, notBefore := 0, time.Time{}
		if h != nil {
			attempts, notBefore = h.attempts, h.notBefore
		}
		h = &health{cid: cid, answered: now, attempts: attempts, notBefore: notBefore}
		w.health[row.ID] = h
	}
	if !wantsVM(row) {
		h.deadSince = time.Time{}
		return false
	}
	alive := cid != "" && w.d.cloud.Alive(cid)
	if alive {
		h.seenAlive = true
		w.ping(ctx, row)
		if now.Sub(h.answered) < w.d.config.AgentTimeout {
			h.deadSince = time.Time{}
			return false
		}
	}
	if h.deadSince.IsZero() {
		h.deadSince = now
	}
	return (row.UpdateCompleted || h.seenAlive) && now.Sub(h.deadSince) >= w.d.config.ResurrectionDelay && !now.Before(h.notBefore)
}

// ping asks an agent, in the background, whether it is there. w.mu is held.
func (w *watcher) ping(ctx context.Context, row db.Instance) {
	cid := row.VM.CID
	if w.pinging[cid] || w.d.now().Sub(w.health[row.ID].answered) < w.d.config.AgentTimeout/4 {
		return
	}
	w.pinging[cid] = true
	go func() {
		ctx, stop := context.WithTimeout(ctx, w.d.config.AgentTimeout/2)
		defer stop()
		_, err := w.d.observeAgent(ctx, row)
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.pinging, cid)
		if h := w.health[row.ID]; h != nil && h.cid == cid && !unreachable(err) && ctx.Err() == nil {
			h.answered = w.d.now()
		}
	}()
}

// attempt enqueues the task that brings instances of a deployment back.
func (w *watcher) attempt(ctx context.Context, deployment string, ids []string) error {
	id, err := w.d.queue.Enqueue(ctx, task.Request{
		Type: "cck_scan_and_fix", Description: "scan and fix", Deployment: deployment, User: "health monitor", Urgent: true,
	}, func(ctx context.Context, run *task.Run) (string, error) {
		return w.d.scanAndFix(ctx, run, deployment, ids)
	})
	if err != nil {
		return fmt.Errorf("enqueue the repair of deployment %s: %w", deployment, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.busy[deployment] = attempt{task: id, instances: ids}
	return nil
}

// dropFinished forgets the attempts whose tasks have ended. After one that did
// not succeed, the next waits, longer each time.
func (w *watcher) dropFinished(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for deployment, a := range w.busy {
		t, err := w.d.db.Task(ctx, a.task)
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			return err
		}
		if err == nil && task.Unfinished(t.State) {
			continue
		}
		delete(w.busy, deployment)
		for _, id := range a.instances {
			switch h := w.health[id]; {
			case h == nil:
			case err == nil && t.State == task.StateDone:
				h.attempts, h.notBefore = 0, time.Time{}
			default:
				h.notBefore = w.d.now().Add(min(lastRetry, firstRetry<<min(h.attempts, 10)))
				h.attempts++
			}
		}
	}
	return nil
}
