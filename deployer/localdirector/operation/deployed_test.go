package operation

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// manifestOf is a manifest of web servers with a disk, with some of it changed:
// pairs of what is replaced and by what, one after the other.
func manifestOf(changes ...string) []byte {
	const text = `
name: demo
releases: [{name: dummy, version: latest}]
stemcells: [{alias: default, os: linux, version: "1"}]
update: {canaries: 1, max_in_flight: 1, canary_watch_time: 1-300, update_watch_time: 1-300}
instance_groups:
- name: web
  instances: 2
  azs: [z1, z2]
  vm_type: small
  persistent_disk_type: small
  stemcell: default
  env: {}
  networks: [{name: default}]
  jobs: [{name: web, release: dummy, properties: {greeting: hi}}]
`
	out := text
	for i := 0; i+1 < len(changes); i += 2 {
		out = strings.ReplaceAll(out, changes[i], changes[i+1])
	}
	return []byte(out)
}

// deploy deploys the manifest with some of it changed.
func (r *rig) deploy(changes ...string) ended {
	r.t.Helper()
	return r.deployWith(DeployRequest{Manifest: manifestOf(changes...)})
}

func (r *rig) deployWith(q DeployRequest) ended {
	r.t.Helper()
	return r.wait(r.begin(func(ctx context.Context, run *task.Run) (string, error) { return r.d.Deploy(ctx, run, q) }))
}

// mustDeploy deploys and wants success.
func (r *rig) mustDeploy(changes ...string) ended {
	r.t.Helper()
	e := r.deploy(changes...)
	r.succeeded(e)
	return e
}

func (r *rig) succeeded(e ended) {
	r.t.Helper()
	if e.State != task.StateDone {
		r.t.Fatalf("task %d: state %s, result %s, events:\n%s", e.ID, e.State, e.Result, lines(e.events))
	}
}

func (r *rig) failed(e ended, code int, message string) {
	r.t.Helper()
	if e.State != task.StateError || len(e.events) == 0 {
		r.t.Fatalf("task %d: state %s, want error; events:\n%s", e.ID, e.State, lines(e.events))
	}
	last := e.events[len(e.events)-1].Error
	if last.Code != code || !strings.Contains(last.Message, message) {
		r.t.Fatalf("task %d ended with %d %q, want %d %q", e.ID, last.Code, last.Message, code, message)
	}
}

func lines(events []event) string {
	var out []string
	for _, e := range events {
		out = append(out, e.String())
	}
	return strings.Join(out, "\n")
}

func (r *rig) rows() []db.Instance {
	r.t.Helper()
	rows, err := r.db.Instances(context.Background(), "demo")
	if err != nil {
		r.t.Fatal(err)
	}
	return rows
}

func (r *rig) vm(index int) *fakeVM {
	r.t.Helper()
	row := r.rows()[index]
	if row.VM == nil {
		r.t.Fatalf("%s has no VM", row.Name())
	}
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	return r.world.vms[row.VM.CID]
}

// consistent checks that the world has what the rows say and nothing else.
func (r *rig) consistent() {
	r.t.Helper()
	rows, err := r.db.AllInstances(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	var vms []string
	for _, row := range rows {
		if row.VM != nil {
			vms = append(vms, row.VM.CID)
		}
	}
	disks, err := r.db.AllDisks(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	orphans, err := r.db.OrphanDisks(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	var cids []string
	for _, d := range disks {
		cids = append(cids, d.CID)
	}
	for _, o := range orphans {
		cids = append(cids, o.CID)
	}
	r.world.mu.Lock()
	defer r.world.mu.Unlock()
	sameSet(r.t, "VMs", vms, r.world.vms)
	sameSet(r.t, "disks", cids, r.world.disks)
}

func sameSet[T any](t *testing.T, what string, recorded []string, have map[string]T) {
	t.Helper()
	for _, cid := range recorded {
		if _, ok := have[cid]; !ok {
			t.Errorf("%s: %s is recorded and does not exist", what, cid)
		}
	}
	for cid := range have {
		if !slices.Contains(recorded, cid) {
			t.Errorf("%s: %s exists and is not recorded", what, cid)
		}
	}
}

// activeDisk is the CID of an instance's disk.
func (r *rig) activeDisk(index int) string {
	r.t.Helper()
	disk, err := r.d.activeDisk(context.Background(), r.rows()[index].ID)
	if err != nil {
		r.t.Fatal(err)
	}
	return disk.CID
}
