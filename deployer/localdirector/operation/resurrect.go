package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// How often the resurrector looks, at least, and how it paces attempts that fail.
const (
	lookInterval = time.Second
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
	w := &watcher{d: d, health: map[string]*health{}, busy: map[string]int64{}, pinging: map[string]bool{}}
	ticker := time.NewTicker(min(lookInterval, d.config.AgentTimeout/4))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case cid := <-d.deaths:
			d.log.Warn("a VM died", "cid", cid)
		case <-ticker.C:
		}
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("look for dead VMs", "error", err)
		}
	}
}

// watcher remembers what it saw of instances.
type watcher struct {
	d       *Director
	mu      sync.Mutex
	health  map[string]*health // by instance ID
	busy    map[string]int64   // deployments with an attempt under way: its task
	pinging map[string]bool    // by VM CID
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
			h.attempts = 0
		}
	}()
}

// attempt enqueues the task that brings instances of a deployment back, and
// paces the next one: an instance that is well again never gets there, as its
// VM is another one and answers.
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
	w.busy[deployment] = id
	for _, id := range ids {
		if h := w.health[id]; h != nil {
			h.notBefore = w.d.now().Add(min(lastRetry, firstRetry<<min(h.attempts, 10)))
			h.attempts++
		}
	}
	return nil
}

// dropFinished forgets the attempts whose tasks have ended, in whatever way.
func (w *watcher) dropFinished(ctx context.Context) error {
	for deployment, id := range w.busy {
		t, err := w.d.db.Task(ctx, id)
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			return err
		}
		if err != nil || !task.Unfinished(t.State) {
			delete(w.busy, deployment)
		}
	}
	return nil
}

// scanAndFix looks again at the instances under the deployment's lock and
// brings back those that still need it.
func (d *Director) scanAndFix(ctx context.Context, run *task.Run, deployment string, ids []string) (string, error) {
	return locked(ctx, run, deployment, func() (string, error) {
		found, err := d.scan(ctx, run, deployment, ids)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			if err := d.fix(ctx, run, found); err != nil {
				return "", err
			}
			if err := d.postDeployAll(ctx, run, deployment); err != nil {
				return "", err
			}
		}
		return "scan and fix complete", nil
	})
}

// problem is an instance without a working VM.
type problem struct {
	row     db.Instance
	kind    string // "missing_vm" or "unresponsive_agent"
	summary string
}

func (d *Director) scan(ctx context.Context, run *task.Run, deployment string, ids []string) ([]problem, error) {
	rows, err := d.db.Instances(ctx, deployment)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(row db.Instance) bool { return !slices.Contains(ids, row.ID) || !wantsVM(row) })
	stage := run.Stage(fmt.Sprintf("Scanning %d VMs", len(rows)), 2)
	var found []problem
	counts := map[string]int{}
	if err := stage.Do("Checking VM states", func(*task.Step) error {
		for _, row := range rows {
			p, err := d.diagnose(ctx, row)
			if err != nil {
				return err
			}
			counts[p.kind]++
			if p.kind != "" {
				found = append(found, p)
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return found, stage.Do(fmt.Sprintf("%d OK, %d unresponsive, %d missing, 0 unbound", counts[""], counts["unresponsive_agent"], counts["missing_vm"]),
		func(*task.Step) error { return nil })
}

// diagnose finds out what is wrong with an instance's VM; kind "" is nothing.
func (d *Director) diagnose(ctx context.Context, row db.Instance) (problem, error) {
	if row.VM == nil || !d.cloud.Alive(row.VM.CID) {
		cid := ""
		if row.VM != nil {
			cid = " with cloud ID '" + row.VM.CID + "'"
		}
		return problem{row, "missing_vm", fmt.Sprintf("VM for '%s'%s missing.", label(row), cid)}, nil
	}
	_, err := d.vitals(ctx, row)
	if ctx.Err() != nil {
		return problem{}, context.Cause(ctx)
	}
	if err == nil || !(unreachable(err) || errors.Is(err, context.DeadlineExceeded)) {
		return problem{row: row}, nil // it is there again
	}
	return problem{row, "unresponsive_agent", fmt.Sprintf("VM for '%s' with cloud ID '%s' is not responding.", label(row), row.VM.CID)}, nil
}

// fix recreates the VMs of all problems. One that cannot be solved does not
// keep the others from being solved.
func (d *Director) fix(ctx context.Context, run *task.Run, found []problem) error {
	stage := run.Stage("Applying problem resolutions", len(found))
	var (
		mu     sync.Mutex
		faults []error
	)
	err := inParallel(ctx, d.config.MaxThreads, found, func(ctx context.Context, p problem) error {
		name := fmt.Sprintf("%s (%s %s): Recreate VM and wait for processes to start", p.summary, p.kind, p.row.ID)
		if err := stage.Do(name, func(*task.Step) error { return d.revive(ctx, run, p.row) }); err != nil {
			mu.Lock()
			defer mu.Unlock()
			faults = append(faults, task.Errorf(task.CodeOf(err), "Error resolving problem '%s': %v", p.row.Name(), err))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(faults...)
}

// postDeployAll runs the post-deploy scripts of all instances that run, as the
// director does after a resurrection. Agents that do not answer are passed over.
func (d *Director) postDeployAll(ctx context.Context, run *task.Run, deployment string) error {
	rows, err := d.db.Instances(ctx, deployment)
	if err != nil {
		return err
	}
	return inParallel(ctx, d.config.MaxThreads, rows, func(ctx context.Context, row db.Instance) error {
		if row.VM == nil || row.State != db.StateStarted || row.Lifecycle == "errand" || !d.cloud.Alive(row.VM.CID) {
			return nil
		}
		client, err := d.agentOf(run, row)
		if err == nil {
			err = client.RunScript(ctx, "post-deploy", nil)
		}
		if unreachable(err) && ctx.Err() == nil {
			run.Log().Warn("post-deploy: the agent does not answer", "instance", row.Name())
			return nil
		}
		return agentFault(ctx, row, err)
	})
}
