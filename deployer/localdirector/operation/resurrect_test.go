package operation

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// watching runs the resurrector until the test ends.
func (r *rig) watching() {
	r.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	d := r.d
	go func() { defer close(done); d.Watch(ctx) }()
	r.t.Cleanup(func() { stop(); <-done })
}

func newWatchedRig(t *testing.T, agentTimeout time.Duration) *rig {
	t.Helper()
	r := newRig(t)
	r.mustDeploy(withErrand()...)
	r.delay, r.agentTimeout = 0, agentTimeout
	r.restart()
	r.watching()
	return r
}

// fixes are the tasks of the resurrector, the oldest first.
func (r *rig) fixes() []db.Task {
	r.t.Helper()
	tasks, err := r.db.Tasks(context.Background(), db.TaskFilter{Types: []string{"cck_scan_and_fix"}})
	if err != nil {
		r.t.Fatal(err)
	}
	for i, j := 0, len(tasks)-1; i < j; i, j = i+1, j-1 {
		tasks[i], tasks[j] = tasks[j], tasks[i]
	}
	return tasks
}

// fixed waits for the nth task of the resurrector to end.
func (r *rig) fixed(n int) ended {
	r.t.Helper()
	r.poll("the resurrector begins a task", func() bool { return len(r.fixes()) >= n })
	return r.wait(r.fixes()[n-1].ID)
}

func TestDeadVMsComeBack(t *testing.T) {
	r := newWatchedRig(t, time.Minute)
	cids := []string{r.rows()[1].VM.CID, r.rows()[2].VM.CID}
	r.world.disks[r.activeDisk(1)].content = "data"
	for _, cid := range cids {
		r.world.kill(cid)
	}
	r.d.VMDied(cids[0])
	e := r.fixed(1)
	r.succeeded(e)
	if len(r.fixes()) == 1 && !strings.Contains(lines(e.events), "Scanning 2 VMs (2/2) 0 OK, 0 unresponsive, 2 missing, 0 unbound: finished") {
		t.Errorf("events:\n%s", lines(e.events))
	}
	for i := 1; i <= 2; i++ {
		r.poll("it runs again", func() bool {
			row := r.rows()[i]
			return row.VM != nil && r.world.Alive(row.VM.CID) && r.vm(i).agent.running
		})
	}
	r.poll("no task runs", func() bool { return len(r.queue.Locks()) == 0 })
	if disk := r.world.disks[r.activeDisk(1)]; disk.content != "data" || len(r.vm(1).agent.mounted) != 1 {
		t.Errorf("the disk is %+v, mounted %q", disk, r.vm(1).agent.mounted)
	}
	calls := r.world.count()
	r.mustDeploy(withErrand()...)
	if got := r.world.since(calls); len(got) != 0 {
		t.Errorf("the deploy after it did %q", got)
	}
	r.consistent()
}

func TestTheResurrectorLeavesAlone(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*rig)
	}{
		"what was stopped":             {func(r *rig) { r.succeeded(r.changeState(StateRequest{State: "stopped", Group: "web", IndexOrID: "0"})) }},
		"what is ignored":              {func(r *rig) { r.must(r.db.SetIgnored(context.Background(), r.rows()[1].ID, true)) }},
		"what is switched off":         {func(r *rig) { r.must(r.db.SetResurrectionPaused(context.Background(), r.rows()[1].ID, true)) }},
		"all while it is paused":       {func(r *rig) { r.must(r.db.SetSetting(context.Background(), db.SettingResurrectionPaused, "true")) }},
		"all before the delay is over": {func(r *rig) { r.delay = time.Hour }},
		"all when it is off":           {func(r *rig) { r.delay = -1 }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.mustDeploy(withErrand()...)
			r.delay, r.agentTimeout = 0, time.Minute
			c.prepare(r)
			r.restart()
			w := newWatcher(r.d)
			r.world.kill(r.rows()[1].VM.CID)
			if r.delay >= 0 {
				for range 3 {
					r.must(w.look(context.Background()))
				}
			} else {
				r.d.Watch(context.Background()) // returns at once
			}
			if tasks := r.fixes(); len(tasks) != 0 {
				t.Errorf("tasks %v", tasks)
			}
		})
	}
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestTheResurrectorWaitsForTasks: while a task holds the deployment's lock, a
// VM that is not there is that task's business.
func TestTheResurrectorWaitsForTasks(t *testing.T) {
	r := newWatchedRig(t, time.Minute)
	inside, goOn := make(chan struct{}, 8), make(chan struct{})
	r.world.script = func(_ context.Context, _ *fakeVM, name string, _ map[string]string) error {
		if name == "drain" {
			inside <- struct{}{}
			<-goOn
		}
		return nil
	}
	id := r.begin(func(ctx context.Context, run *task.Run) (string, error) {
		return r.d.ChangeState(ctx, run, StateRequest{Deployment: "demo", State: "restart", Group: "web", IndexOrID: "0"})
	})
	<-inside
	r.world.kill(r.rows()[2].VM.CID)
	w := newWatcher(r.d)
	r.must(w.look(context.Background()))
	if tasks := r.fixes(); len(tasks) != 0 {
		t.Errorf("tasks %v", tasks)
	}
	close(goOn)
	r.wait(id)
	r.succeeded(r.fixed(1))
}

func TestHungAgentsAreReplaced(t *testing.T) {
	r := newWatchedRig(t, 400*time.Millisecond)
	old := r.rows()[1].VM.CID
	r.world.mu.Lock()
	r.world.vms[old].responsive = false
	r.world.mu.Unlock()
	r.poll("it is replaced", func() bool { row := r.rows()[1]; return row.VM != nil && row.VM.CID != old && row.UpdateCompleted })
	text := ""
	for n := range r.fixes() {
		text += lines(r.fixed(n + 1).events)
	}
	if !strings.Contains(text, "1 unresponsive, 0 missing, 0 unbound") || !strings.Contains(text, "is not responding.") {
		t.Errorf("events:\n%s", text)
	}
	if now := r.rows()[1]; now.VM.CID == old || !r.vm(1).agent.running {
		t.Errorf("instance %+v", now)
	}
	r.consistent()
}

func TestResurrectionThatFailsIsTriedAgainLater(t *testing.T) {
	r := newRig(t)
	r.mustDeploy(withErrand()...)
	r.delay = 0
	r.restart()
	now := time.Now()
	r.d.now = func() time.Time { return now }
	r.world.script = func(_ context.Context, _ *fakeVM, name string, _ map[string]string) error {
		if name == "pre-start" {
			return &agent.Error{Method: "run_script", Message: "1 of 1 pre-start scripts failed."}
		}
		return nil
	}
	w := newWatcher(r.d)
	r.world.kill(r.rows()[1].VM.CID)
	for attempt := 1; attempt <= 3; attempt++ {
		r.must(w.look(context.Background()))
		r.failed(r.fixed(attempt), 450001, "Error resolving problem '"+r.rows()[1].Name()+"': 1 of 1 pre-start scripts failed.")
		r.world.kill(r.rows()[1].VM.CID)
		r.must(w.look(context.Background()))
		if n := len(r.fixes()); n != attempt {
			t.Fatalf("%d tasks right after attempt %d", n, attempt)
		}
		now = now.Add(firstRetry << (attempt - 1))
	}
	r.world.script = nil
	r.must(w.look(context.Background()))
	r.succeeded(r.fixed(4))
	if row := r.rows()[1]; !row.UpdateCompleted || !r.vm(1).agent.running {
		t.Errorf("instance %+v", row)
	}
	r.consistent()
}

// TestUnfinishedUpdatesAreLeftToTheNextDeploy: a director that was killed in a
// deploy does not go on with it on its own.
func TestUnfinishedUpdatesAreLeftToTheNextDeploy(t *testing.T) {
	r := newRig(t)
	r.world.faults["create_vm"] = nil
	died := r.dying(20, false) // in the middle of the first instance
	r.must2(r.db.EnsureDeployment(context.Background(), "demo", nil))
	r.begin(func(ctx context.Context, run *task.Run) (string, error) {
		return r.d.Deploy(ctx, run, DeployRequest{Manifest: manifestOf("instances: 2", "instances: 1")})
	})
	<-died
	r.world.hook(nil, nil)
	r.killed[r.queue] = true
	r.delay = 0
	r.restart()
	row := r.rows()[0]
	if row.VM == nil || row.UpdateCompleted {
		t.Fatalf("not in the middle: %+v", row)
	}
	r.must(r.world.DeleteVM(context.Background(), row.VM.CID)) // as if it had never been made
	w := newWatcher(r.d)
	r.must(w.look(context.Background()))
	if tasks := r.fixes(); len(tasks) != 0 {
		t.Errorf("tasks %v", tasks)
	}
	r.mustDeploy("instances: 2", "instances: 1")
}

func (r *rig) must2(_ any, err error) { r.t.Helper(); r.must(err) }

// TestResurrectionCompilesWhatTheCacheLost: the cache may be emptied at any time.
func TestResurrectionCompilesWhatTheCacheLost(t *testing.T) {
	r := newWatchedRig(t, time.Minute)
	r.emptyCache()
	r.world.kill(r.rows()[1].VM.CID)
	e := r.fixed(1)
	r.succeeded(e)
	if !strings.Contains(lines(e.events), "Compiling packages (2/2) hello/hello1: finished") {
		t.Errorf("events:\n%s", lines(e.events))
	}
	r.consistent()
}
