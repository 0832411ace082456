package operation

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

func (r *rig) changeState(q StateRequest) ended {
	r.t.Helper()
	q.Deployment = "demo"
	return r.wait(r.begin(func(ctx context.Context, run *task.Run) (string, error) { return r.d.ChangeState(ctx, run, q) }))
}

func (r *rig) act(q ActionRequest) ended {
	r.t.Helper()
	q.Deployment = "demo"
	return r.wait(r.begin(func(ctx context.Context, run *task.Run) (string, error) { return r.d.ActOnInstance(ctx, run, q) }))
}

// states are the states of the rows, and "up" or "down" for what really is:
// "started up", "stopped down", "detached gone".
func (r *rig) states() []string {
	var out []string
	for i, row := range r.rows() {
		is := "gone"
		if row.VM != nil {
			is = "down"
			if r.vm(i).agent.running {
				is = "up"
			}
		}
		out = append(out, row.State+" "+is)
	}
	return out
}

func TestStatesLastThroughDeploys(t *testing.T) {
	r := newRig(t)
	r.mustDeploy()
	step := func(name string, e ended, want ...string) {
		t.Helper()
		r.succeeded(e)
		if got := r.states(); !reflect.DeepEqual(got, want) {
			t.Fatalf("after %s: %q, want %q\n%s", name, got, want, lines(e.events))
		}
		r.consistent()
	}
	step("stop web/1", r.changeState(StateRequest{State: "stopped", Group: "web", IndexOrID: "1"}), "started up", "stopped down")
	step("a deploy", r.deploy(), "started up", "stopped down")
	step("a deploy that changes all", r.deploy("hi", "hello"), "started up", "stopped down")
	before := r.world.count()
	step("a deploy that changes nothing", r.deploy("hi", "hello"), "started up", "stopped down")
	if got := r.world.since(before); slices.Contains(got, "stop") || slices.Contains(got, "start") || slices.Contains(got, "put_blob") {
		t.Errorf("the stopped instance was touched: %q", got)
	}
	step("stop --hard all", r.changeState(StateRequest{State: "detached"}), "detached gone", "detached gone")
	before = r.world.count()
	step("a deploy", r.deploy("hi", "hello"), "detached gone", "detached gone")
	if got := r.world.since(before); len(got) != 0 {
		t.Errorf("a deploy of detached instances did %q", got)
	}
	step("stop web/0", r.changeState(StateRequest{State: "stopped", Group: "web", IndexOrID: r.rows()[0].ID}), "stopped down", "detached gone")
	step("start", r.changeState(StateRequest{State: "started", Group: "*"}), "started up", "started up")
	if hash := r.vm(1).agent.applied.ConfigurationHash; hash != r.vm(0).agent.applied.ConfigurationHash || hash == "" {
		t.Errorf("web/1 has configuration %q", hash)
	}
	vms := []string{r.rows()[0].VM.CID, r.rows()[1].VM.CID}
	step("restart web/0", r.changeState(StateRequest{State: "restart", Group: "web", IndexOrID: "0"}), "started up", "started up")
	step("recreate web/1", r.changeState(StateRequest{State: "recreate", Group: "web", IndexOrID: "1"}), "started up", "started up")
	if now := r.rows(); now[0].VM.CID != vms[0] || now[1].VM.CID == vms[1] {
		t.Errorf("VMs were %v, are %v and %v: want only the second recreated", vms, now[0].VM, now[1].VM)
	}
	if dep, err := r.db.Deployment(context.Background(), "demo"); err != nil || dep.Manifest != string(manifestOf("hi", "hello")) {
		t.Errorf("the manifest became %q, %v", dep.Manifest, err)
	}
}

// TestStateKeepsVersions: "latest" does not mean something newer when an
// instance is only restarted.
func TestStateKeepsVersions(t *testing.T) {
	r := newRig(t)
	r.mustDeploy()
	r.addRelease("2")
	r.succeeded(r.changeState(StateRequest{State: "restart", Group: "web"}))
	if version := r.vm(0).agent.applied.Job.Templates[0].Version; version != "web1" {
		t.Errorf("a restart brought job version %s", version)
	}
	r.mustDeploy()
	if version := r.vm(0).agent.applied.Job.Templates[0].Version; version != "web2" {
		t.Errorf("a deploy of latest brought job version %s", version)
	}
}

func TestStateFaults(t *testing.T) {
	r := newRig(t)
	r.failed(r.changeState(StateRequest{State: "stopped"}), 70000, "Deployment 'demo' doesn't exist")
	r.world.crashing = true
	r.failed(r.deploy(), 400007, "is not running after update")
	r.failed(r.changeState(StateRequest{State: "stopped"}), 440001, "No successful BOSH deployment manifest available")
	r.world.crashing = false
	r.mustDeploy()
	r.failed(r.changeState(StateRequest{State: "stopped", Group: "nope"}), 70001, "Instance 'demo/nope' doesn't exist")
	r.failed(r.changeState(StateRequest{State: "stopped", Group: "web", IndexOrID: "7"}), 70001, "Instance 'demo/web/7' doesn't exist")
	row := r.rows()[1]
	if err := r.db.SetIgnored(context.Background(), row.ID, true); err != nil {
		t.Fatal(err)
	}
	r.failed(r.changeState(StateRequest{State: "stopped", Group: "web", IndexOrID: "1"}), 190020, "ignored instance '"+row.Name()+"'")
	r.succeeded(r.changeState(StateRequest{State: "stopped"}))
	if got, want := r.states(), []string{"stopped down", "started up"}; !reflect.DeepEqual(got, want) {
		t.Errorf("states %q, want %q", got, want)
	}
	r.failed(r.delete(true), 190021, "contains ignored instance(s)")
}

func TestScriptsLearnWhatComesNext(t *testing.T) {
	r := newRig(t)
	r.mustDeploy("instances: 2", "instances: 1")
	var seen []string
	r.world.script = func(_ context.Context, _ *fakeVM, name string, env map[string]string) error {
		if name == "pre-stop" {
			seen = append(seen, strings.Join([]string{env["BOSH_VM_NEXT_STATE"], env["BOSH_INSTANCE_NEXT_STATE"], env["BOSH_DEPLOYMENT_NEXT_STATE"]}, " "))
		}
		return nil
	}
	r.succeeded(r.changeState(StateRequest{State: "restart"}))
	r.succeeded(r.changeState(StateRequest{State: "recreate"}))
	r.succeeded(r.changeState(StateRequest{State: "detached"}))
	r.succeeded(r.changeState(StateRequest{State: "started"})) // stops the jobs of the new VM, as the director does
	r.mustDeploy("instances: 2", "instances: 0")
	r.mustDeploy("instances: 2", "instances: 1")
	r.succeeded(r.delete(false))
	want := []string{"keep keep keep", "delete keep keep", "delete keep keep", "delete delete keep", "keep keep keep", "delete delete delete"}
	if !reflect.DeepEqual(seen, want) {
		t.Errorf("pre-stop scripts saw\n%q, want\n%q", seen, want)
	}
}

func TestActOnInstance(t *testing.T) {
	r := newRig(t)
	r.mustDeploy()
	old := r.rows()[1].VM.CID
	for _, c := range []struct {
		request ActionRequest
		want    []string
	}{
		{ActionRequest{Action: "stop"}, []string{"started up", "stopped down"}},
		{ActionRequest{Action: "stop"}, []string{"started up", "stopped down"}},
		{ActionRequest{Action: "start"}, []string{"started up", "started up"}},
		{ActionRequest{Action: "restart", SkipDrain: true}, []string{"started up", "started up"}},
		{ActionRequest{Action: "stop", Hard: true}, []string{"started up", "detached gone"}},
		{ActionRequest{Action: "start"}, []string{"started up", "started up"}},
		{ActionRequest{Action: "recreate"}, []string{"started up", "started up"}},
	} {
		before := r.world.count()
		c.request.Group, c.request.IndexOrID = "web", "1"
		r.succeeded(r.act(c.request))
		if got := r.states(); !reflect.DeepEqual(got, c.want) {
			t.Fatalf("after %+v: %q, want %q", c.request, got, c.want)
		}
		if drained := slices.Contains(r.world.since(before), "drain shutdown"); c.request.SkipDrain && drained {
			t.Errorf("%+v drained", c.request)
		}
		r.consistent()
	}
	if r.rows()[1].VM.CID == old || len(r.vm(1).agent.mounted) != 1 {
		t.Errorf("web/1 was not recreated with its disk")
	}
	before := r.world.count()
	r.mustDeploy()
	if got := r.world.since(before); len(got) != 0 {
		t.Errorf("a deploy after actions that changed nothing for good did %q", got)
	}
	r.failed(r.act(ActionRequest{Group: "web", IndexOrID: "9", Action: "stop"}), 70001, "doesn't exist")
	r.vm(1).responsive = false
	r.failed(r.act(ActionRequest{Group: "web", IndexOrID: "1", Action: "recreate"}), 450002, "Timed out sending 'get_state'")
	r.succeeded(r.act(ActionRequest{Group: "web", IndexOrID: "1", Action: "recreate", IgnoreUnresponsiveAgent: true}))
	if !r.vm(1).agent.running {
		t.Error("web/1 does not run")
	}
}

func TestDelete(t *testing.T) {
	r := newRig(t)
	r.failed(r.delete(false), 70000, "Deployment 'demo' doesn't exist")
	r.mustDeploy()
	r.mustDeploy("disk_type: small", "disk_type: large") // leaves orphaned disks
	r.vm(0).responsive = false
	row := r.rows()[0]
	e := r.delete(false)
	r.failed(e, 450002, "Timed out sending 'pre-stop' to instance: '"+row.Name()+"', agent-id: '"+row.VM.AgentID+"' after 45 seconds")
	if rows := r.rows(); len(rows) != 1 || rows[0].ID != row.ID {
		t.Errorf("rows %v: want those whose agent answered to be deleted", rows)
	}
	e = r.delete(true)
	r.succeeded(e)
	want := []string{
		"Deleting instances (1/1) " + label(row) + ": started", "Deleting instances (1/1) " + label(row) + ": finished",
		"Removing deployment artifacts (1/3) Detaching stemcells: started", "Removing deployment artifacts (1/3) Detaching stemcells: finished",
		"Removing deployment artifacts (2/3) Detaching releases: started", "Removing deployment artifacts (2/3) Detaching releases: finished",
		"Deleting properties (1/0) Destroying deployment: started", "Deleting properties (1/0) Destroying deployment: finished",
	}
	if got := strings.Split(lines(e.events), "\n"); !reflect.DeepEqual(got, want) {
		t.Errorf("events:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(r.world.vms)+len(r.world.disks) > 0 {
		t.Errorf("left: VMs %v, disks %v", r.world.vms, r.world.disks)
	}
	if _, err := r.db.Deployment(context.Background(), "demo"); err == nil {
		t.Error("the deployment is still there")
	}
}

// TestDeleteWithADeadVM: there is nothing to ask of a VM that is gone.
func TestDeleteWithADeadVM(t *testing.T) {
	r := newRig(t)
	r.mustDeploy()
	r.world.kill(r.rows()[0].VM.CID)
	r.succeeded(r.delete(false))
	if len(r.world.vms)+len(r.world.disks) > 0 {
		t.Errorf("left: VMs %v, disks %v", r.world.vms, r.world.disks)
	}
}

func TestVariablesAreKeptAndGoWithTheDeployment(t *testing.T) {
	r := newRig(t)
	variable := []string{"greeting: hi", "greeting: ((secret))", "instance_groups:", "variables: [{name: secret, type: password}]\ninstance_groups:"}
	r.mustDeploy(variable...)
	before, err := r.db.Variable(context.Background(), "/test/demo/secret")
	if err != nil {
		t.Fatal(err)
	}
	calls := r.world.count()
	e := r.mustDeploy(variable...)
	if got := r.world.since(calls); len(got) != 0 {
		t.Errorf("a deploy with the same secret did %q", got)
	}
	value := strings.Trim(string(before.Value), `"`)
	for _, kind := range []string{"event", "debug", "cpi"} {
		if strings.Contains(r.output(e.ID, kind), value) {
			t.Errorf("the secret is in the %s output", kind)
		}
	}
	dep, err := r.db.Deployment(context.Background(), "demo")
	if err != nil || strings.Contains(dep.Manifest+dep.ResolvedManifest, value) {
		t.Errorf("the secret is in the manifest, %v", err)
	}
	r.succeeded(r.delete(false))
	if _, err := r.db.Variable(context.Background(), "/test/demo/secret"); err == nil {
		t.Error("the variable is still there")
	}
}
