package operation

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// dying makes the director die at its nth change of the world: every goroutine
// that gets there, or further, stands still for ever, as those of a killed
// process. The change takes effect when after is set.
func (r *rig) dying(nth int, after bool) (died <-chan struct{}) {
	dead := make(chan struct{})
	count := 0
	stand := func() {
		r.world.mu.Lock()
		if count == nth {
			close(dead)
		}
		r.world.mu.Unlock()
		select {}
	}
	step := func() bool {
		r.world.mu.Lock()
		defer r.world.mu.Unlock()
		count++
		return count >= nth
	}
	if !after {
		r.world.hook(func(string) error {
			if step() {
				stand()
			}
			return nil
		}, nil)
		return dead
	}
	r.world.hook(func(string) error {
		r.world.mu.Lock()
		over := count >= nth
		r.world.mu.Unlock()
		if over {
			select {}
		}
		return nil
	}, func(string) {
		if step() {
			stand()
		}
	})
	return dead
}

// TestKilledAtEveryStep kills the director before and after each change of the
// world that a deploy or a delete makes. Whoever comes after it must be able to
// deploy and to delete, and nothing may be left or lost.
func TestKilledAtEveryStep(t *testing.T) {
	for name, c := range map[string]struct {
		prepare []string // of the deploy before, nil for none
		changes []string
		delete  bool
	}{
		"first deploy": {changes: []string{"instances: 2", "instances: 1"}},
		"recreate and a larger disk": {prepare: []string{"instances: 2", "instances: 1"},
			changes: []string{"instances: 2", "instances: 1", "vm_type: small", "vm_type: large", "disk_type: small", "disk_type: large"}},
		"larger disk": {prepare: []string{"instances: 2", "instances: 1"},
			changes: []string{"instances: 2", "instances: 1", "disk_type: small", "disk_type: large"}},
		"scale down": {prepare: []string{}, changes: []string{"instances: 2", "instances: 1"}},
		"delete":     {prepare: []string{"instances: 2", "instances: 1"}, delete: true},
	} {
		t.Run(name, func(t *testing.T) {
			for nth := 1; ; nth++ {
				// Before every other change and after the ones between, unless all is asked for.
				reached := crashAt(t, nth, nth%2 == 1, c.prepare, c.changes, c.delete)
				if reached && os.Getenv("OPERATION_ALL_CRASHES") != "" {
					reached = crashAt(t, nth, nth%2 == 0, c.prepare, c.changes, c.delete)
				}
				if !reached {
					if nth < 5 {
						t.Errorf("only %d steps", nth)
					}
					break
				}
			}
		})
	}
}

func crashAt(t *testing.T, nth int, after bool, prepare, changes []string, remove bool) (reached bool) {
	t.Helper()
	r := newRig(t)
	if prepare != nil {
		r.mustDeploy(prepare...)
		r.world.disks[r.activeDisk(0)].content = "data"
	} else if _, err := r.db.EnsureDeployment(context.Background(), "demo", nil); err != nil {
		t.Fatal(err)
	}
	died := r.dying(nth, after)
	id := r.begin(func(ctx context.Context, run *task.Run) (string, error) {
		if remove {
			return r.d.Delete(ctx, run, DeleteRequest{Deployment: "demo"})
		}
		return r.d.Deploy(ctx, run, DeployRequest{Manifest: manifestOf(changes...)})
	})
	ended := make(chan struct{})
	go func() { defer close(ended); r.waitQuietly(id) }()
	select {
	case <-died:
	case <-ended:
		return false
	}
	where := fmt.Sprintf("killed at step %d, after=%v, calls %q", nth, after, r.world.since(0))
	r.world.hook(nil, nil)
	r.killed[r.queue] = true
	r.restart()
	if e := r.wait(id); e.State != task.StateError {
		t.Errorf("%s: the interrupted task is %s", where, e.State)
	}
	if !remove {
		e := r.deploy(changes...)
		if e.State != task.StateDone {
			t.Fatalf("%s: the next deploy ended in %s: %s\n%s", where, e.State, e.Result, lines(e.events))
		}
		r.consistent()
		if disk := r.world.disks[r.activeDisk(0)]; prepare != nil && disk.content != "data" {
			t.Errorf("%s: the disk's content is lost", where)
		}
	}
	r.deleteAll(where)
	return true
}

func (r *rig) waitQuietly(id int64) {
	for {
		t, err := r.db.Task(context.Background(), id)
		if err != nil || !task.Unfinished(t.State) {
			return
		}
		<-time.After(2 * time.Millisecond)
	}
}

// deleteAll deletes the deployment, if it is still there, and wants nothing to
// be left.
func (r *rig) deleteAll(where string) {
	r.t.Helper()
	e := r.delete(false)
	if e.State != task.StateDone && !strings.Contains(e.Result, "doesn't exist") {
		r.t.Fatalf("%s: delete ended in %s: %s\n%s", where, e.State, e.Result, lines(e.events))
	}
	rows, err := r.db.AllInstances(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	if len(rows)+len(r.world.vms)+len(r.world.disks) > 0 {
		r.t.Errorf("%s: left after delete: rows %v, VMs %v, disks %v", where, rows, r.world.vms, r.world.disks)
	}
}

func (r *rig) delete(force bool) ended {
	r.t.Helper()
	return r.wait(r.begin(func(ctx context.Context, run *task.Run) (string, error) {
		return r.d.Delete(ctx, run, DeleteRequest{Deployment: "demo", Force: force})
	}))
}

// TestRecoverRemovesUnfinishedDisks: a disk that was recorded and maybe made,
// but is not its instance's, does not wait for the next deploy.
func TestRecoverRemovesUnfinishedDisks(t *testing.T) {
	r := newRig(t)
	r.mustDeploy("instances: 2", "instances: 1")
	ctx := context.Background()
	for cid, made := range map[string]bool{"disk-recorded": false, "disk-made": true} {
		if err := r.db.PutDisk(ctx, db.Disk{CID: cid, InstanceID: r.rows()[0].ID, SizeMiB: 20}); err != nil {
			t.Fatal(err)
		}
		if made {
			if _, err := r.world.CreateDisk(ctx, cid, 20); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.restart()
	r.consistent()
	if disks, err := r.db.AllDisks(ctx); err != nil || len(disks) != 1 || !disks[0].Active {
		t.Errorf("disks %v, %v, want only the active one", disks, err)
	}
}
