package operation

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

func TestFirstDeploy(t *testing.T) {
	r := newRig(t)
	e := r.mustDeploy()
	a, b := r.rows()[0], r.rows()[1]
	la, lb := label(a), label(b)
	update := func(name string, index int) []string {
		head := fmt.Sprintf("Updating instance web (%d/2) %s: ", index, name)
		return []string{head + "started", "5% executing pre-stop", "10% executing drain", "30% stopping jobs", "40% executing post-stop",
			"50% installing packages", "60% configuring jobs", "70% executing pre-start", "90% starting jobs", "100% executing post-start", head + "finished"}
	}
	want := []string{
		"Preparing deployment (1/1) Preparing deployment: started", "Preparing deployment (1/1) Preparing deployment: finished",
		"Preparing deployment (2/1) Rendering templates: started", "Preparing deployment (2/1) Rendering templates: finished",
		"Preparing package compilation (1/1) Finding packages to compile: started", "Preparing package compilation (1/1) Finding packages to compile: finished",
		"Compiling packages (1/2) base/base1: started", "Compiling packages (1/2) base/base1: finished",
		"Compiling packages (2/2) hello/hello1: started", "Compiling packages (2/2) hello/hello1: finished",
	}
	want = append(want, update(la+" (canary)", 1)...)
	want = append(want, update(lb, 2)...)
	var got, created []string
	for _, line := range e.events {
		if line.Stage == "Creating missing vms" { // both at once: in any order
			created = append(created, line.Task+" "+line.State)
			continue
		}
		got = append(got, line.String())
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("events:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	slices.Sort(created)
	wantCreated := []string{la + " finished", la + " started", lb + " finished", lb + " started"}
	slices.Sort(wantCreated)
	if !reflect.DeepEqual(created, wantCreated) {
		t.Errorf("created VMs: %q, want %q", created, wantCreated)
	}
	r.checkFirstDeploy(e)
}

func (r *rig) checkFirstDeploy(e ended) {
	r.t.Helper()
	if e.Result != "/deployments/demo" {
		r.t.Errorf("result %q", e.Result)
	}
	dep, err := r.db.Deployment(context.Background(), "demo")
	if err != nil {
		r.t.Fatal(err)
	}
	if dep.Manifest != string(manifestOf()) || !strings.Contains(dep.ResolvedManifest, "version: '1'") || strings.Contains(dep.ResolvedManifest, "latest") {
		r.t.Errorf("the deployment has manifest %q, resolved %q", dep.Manifest, dep.ResolvedManifest)
	}
	if want := []db.NameVersion{{Name: "dummy", Version: "1"}}; !reflect.DeepEqual(dep.Releases, want) {
		r.t.Errorf("releases %v, want %v", dep.Releases, want)
	}
	for i, row := range r.rows() {
		if !row.UpdateCompleted || row.State != db.StateStarted || row.VM == nil || !r.vm(i).agent.running || len(r.vm(i).agent.mounted) != 1 {
			r.t.Errorf("instance %+v does not run with its disk", row)
		}
	}
	r.consistent()
}

// New VMs unpack what they will run all at once, each of them one time, before
// the first instance has its turn.
func TestNewVMsArePreparedAtOnce(t *testing.T) {
	r := newRig(t)
	r.mustDeploy("instances: 2", "instances: 3")
	calls := r.world.since(0)
	first := slices.Index(calls, "pre-stop")
	prepared := 0
	for i, call := range calls {
		if call == "prepare" {
			prepared++
			if i > first {
				t.Error("prepared after the first instance's turn began")
			}
		}
	}
	if prepared != 3 || first < 0 {
		t.Errorf("prepared %d times, want once for each of 3 VMs: %q", prepared, calls)
	}
}

func TestDeployTouchesOnlyWhatDiffers(t *testing.T) {
	recreated := []string{"pre-stop", "drain shutdown", "stop", "post-stop", "unmount_disk", "remove_persistent_disk", "detach_disk", "delete_vm",
		"create_vm", "mount_disk", "apply", "put_blob", "put_blob", "apply", "delete_blob", "delete_blob", "pre-start", "start", "post-start"}
	inPlace := []string{"put_blob", "prepare", "pre-stop", "drain update", "stop", "post-stop", "apply", "delete_blob", "pre-start", "start", "post-start"}
	compiled := []string{"create_vm", "put_blob", "compile base", "get_blob", "delete_blob", "delete_blob",
		"put_blob", "put_blob", "compile hello", "get_blob", "delete_blob", "delete_blob", "delete_blob", "delete_vm"}
	for name, c := range map[string]struct {
		changes []string
		request DeployRequest
		reason  string
		want    []string
	}{
		"nothing":                 {reason: "", want: nil},
		"the same in other words": {changes: []string{"vm_type: small", "vm_type: 'small'", "env: {}\n  ", ""}},
		"a property":              {changes: []string{"hi", "hello"}, reason: "configuration", want: inPlace},
		"vm_type":                 {changes: []string{"vm_type: small", "vm_type: large"}, reason: "cloud_properties", want: recreated},
		"stemcell":                {changes: []string{`"1"`, `"2"`}, reason: "stemcell packages", want: append(slices.Clone(compiled), recreated...)},
		"env":                     {changes: []string{"env: {}", "env: {bosh: {password: x}}"}, reason: "env", want: recreated},
		"static addresses":        {changes: []string{"[{name: default}]", "[{name: default, static_ips: [10.240.16.200]}]"}, reason: "network", want: recreated},
		"disk": {changes: []string{"disk_type: small", "disk_type: large"}, reason: "persistent_disk", want: []string{
			"put_blob", "prepare", "pre-stop", "drain shutdown", "stop", "post-stop",
			"create_disk", "attach_disk", "add_persistent_disk", "mount_disk", "migrate_disk",
			"unmount_disk", "remove_persistent_disk", "detach_disk", "apply", "delete_blob", "pre-start", "start", "post-start"}},
		"no disk any more": {changes: []string{"persistent_disk_type: small\n", "\n"}, reason: "persistent_disk", want: []string{
			"put_blob", "prepare", "pre-stop", "drain shutdown", "stop", "post-stop",
			"unmount_disk", "remove_persistent_disk", "detach_disk", "apply", "delete_blob", "pre-start", "start", "post-start"}},
		"--recreate": {request: DeployRequest{Recreate: true}, reason: "recreate", want: recreated},
		"--skip-drain": {request: DeployRequest{SkipDrain: "other,web"}, changes: []string{"hi", "hello"}, reason: "configuration",
			want: []string{"put_blob", "prepare", "stop", "post-stop", "apply", "delete_blob", "pre-start", "start", "post-start"}},
		"--dry-run": {request: DeployRequest{DryRun: true}, changes: []string{"hi", "hello", "vm_type: small", "vm_type: large"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.mustDeploy("instances: 2", "instances: 1")
			r.world.disks[r.activeDisk(0)].content = "data"
			before, row := r.world.count(), r.rows()[0]
			c.request.Manifest = manifestOf(append([]string{"instances: 2", "instances: 1"}, c.changes...)...)
			e := r.deployWith(c.request)
			r.succeeded(e)
			want := c.want
			if len(want) > 0 {
				want = append(slices.Clone(want), "post-deploy")
			}
			if got := r.world.since(before); !slices.Equal(got, want) {
				t.Errorf("calls\n%q, want\n%q", got, want)
			}
			if now := r.rows()[0]; now.ID != row.ID {
				t.Errorf("instance %s became %s", row.ID, now.ID)
			}
			if debug := r.output(e.ID, "debug"); c.reason != "" && !strings.Contains(debug, "["+c.reason+"]") {
				t.Errorf("no reason %q in the debug log:\n%s", c.reason, debug)
			}
			if disk := r.activeDisk(0); disk != "" && r.world.disks[disk].content != "data" {
				t.Error("the disk's content is lost")
			}
			r.consistent()
		})
	}
}

func TestDeployStopsAtTheFirstFaultAndTheNextRepairs(t *testing.T) {
	r := newRig(t)
	r.mustDeploy("instances: 2", "instances: 3")
	r.world.script = func(_ context.Context, _ *fakeVM, name string, _ map[string]string) error {
		if name == "pre-start" {
			return &agent.Error{Method: "run_script", Message: "Action Failed get_task: Task 1 result: 1 of 1 pre-start scripts failed. Failed Jobs: web."}
		}
		return nil
	}
	e := r.deploy("instances: 2", "instances: 3", "hi", "hello")
	r.failed(e, 450001, "1 of 1 pre-start scripts failed. Failed Jobs: web.")
	before := e.events[len(e.events)-2]
	if before.State != "failed" || !strings.Contains(before.Task, "(canary)") || !strings.Contains(before.Data.Error, "pre-start scripts failed") {
		t.Errorf("the line before the error is %v", before)
	}
	var complete []bool
	for _, row := range r.rows() {
		complete = append(complete, row.UpdateCompleted)
	}
	if want := []bool{false, true, true}; !reflect.DeepEqual(complete, want) {
		t.Errorf("complete instances %v, want %v", complete, want)
	}
	dep, err := r.db.Deployment(context.Background(), "demo")
	if err != nil || !strings.Contains(dep.Manifest, "greeting: hi}") {
		t.Errorf("the manifest kept is %q, %v", dep.Manifest, err)
	}
	r.world.script = nil
	r.mustDeploy("instances: 2", "instances: 3") // back to what the others never left
	for i, row := range r.rows() {
		if !row.UpdateCompleted || !r.vm(i).agent.running {
			t.Errorf("instance %d was not repaired: %+v", i, row)
		}
	}
}

func TestDeployJobsThatDoNotRun(t *testing.T) {
	r := newRig(t)
	r.world.crashing = true
	e := r.deploy()
	row := r.rows()[0]
	r.failed(e, 400007, fmt.Sprintf("'web/%s (0)' is not running after update. Review logs for failed jobs: hello", row.ID))
	r.world.crashing = false
	r.mustDeploy()
}

func TestDeployRepairsDrift(t *testing.T) {
	r := newRig(t)
	r.mustDeploy()
	r.vm(1).agent.running = false
	before := r.world.count()
	r.mustDeploy()
	if got := r.world.since(before); !slices.Contains(got, "start") || slices.Contains(got, "create_vm") {
		t.Errorf("an instance whose jobs do not run was not started in its VM: %q", got)
	}
	r.world.kill(r.rows()[0].VM.CID)
	e := r.mustDeploy()
	if !strings.Contains(lines(e.events), "Creating missing vms (1/1)") {
		t.Errorf("a dead VM was not missed:\n%s", lines(e.events))
	}
	r.consistent()
}

func TestDeployWithAnUnresponsiveAgent(t *testing.T) {
	r := newRig(t)
	r.mustDeploy()
	row := r.rows()[1]
	r.vm(1).responsive = false
	r.failed(r.deploy(), 450002, fmt.Sprintf("Timed out sending 'get_state' to instance: 'web/%s', agent-id: '%s' after 45 seconds", row.ID, row.VM.AgentID))
	e := r.deployWith(DeployRequest{Manifest: manifestOf(), Fix: true})
	r.succeeded(e)
	if now := r.rows()[1]; now.VM.CID == row.VM.CID || !r.vm(1).agent.running || len(r.vm(1).agent.mounted) != 1 {
		t.Errorf("instance was not recreated: %+v", now)
	}
	r.consistent()
}

func TestDeployScales(t *testing.T) {
	r := newRig(t)
	r.mustDeploy("instances: 2", "instances: 4")
	kept := r.rows()[0].ID
	e := r.mustDeploy("instances: 2", "instances: 1")
	if !strings.Contains(lines(e.events), "Deleting unneeded instances web (3/3)") {
		t.Errorf("events:\n%s", lines(e.events))
	}
	if rows := r.rows(); len(rows) != 1 || rows[0].ID != kept {
		t.Errorf("rows %v, want only %s", rows, kept)
	}
	orphans, err := r.db.OrphanDisks(context.Background())
	if err != nil || len(orphans) != 3 {
		t.Errorf("%d orphaned disks, %v, want 3", len(orphans), err)
	}
	r.consistent()
	r.mustDeploy("name: web\n", "name: other\n")
	if rows := r.rows(); len(rows) != 2 || rows[0].Group != "other" {
		t.Errorf("rows %v, want two of the new group", rows)
	}
	r.consistent()
}

func TestDeployMigratesAGroup(t *testing.T) {
	r := newRig(t)
	r.mustDeploy()
	before := r.rows()
	r.world.disks[r.activeDisk(0)].content = "data"
	calls := r.world.count()
	e := r.mustDeploy("name: web\n", "name: app\n  migrated_from: [{name: web}]\n")
	if got := r.world.since(calls); slices.Contains(got, "create_vm") || !slices.Contains(got, "apply") {
		t.Errorf("calls %q\n%s", got, lines(e.events))
	}
	for i, row := range r.rows() {
		if row.Group != "app" || row.ID != before[i].ID || row.VM.CID != before[i].VM.CID || r.vm(i).agent.applied.Name != "app" {
			t.Errorf("instance %+v was %+v", row, before[i])
		}
	}
	if r.world.disks[r.activeDisk(0)].content != "data" {
		t.Error("the disk's content is lost")
	}
	r.consistent()
}

func TestDeployWarns(t *testing.T) {
	r := newRig(t)
	r.mustDeploy("max_in_flight: 1", "max_in_flight: 1, vm_strategy: create-swap-delete")
	r.must2(r.db.AddConfig(context.Background(), db.Config{Type: "runtime", Name: "dns", Content: "addons: []", CreatedAt: time.Now()}))
	e := r.mustDeploy("max_in_flight: 1", "max_in_flight: 1, vm_strategy: create-swap-delete", "vm_type: small", "vm_type: large")
	text := r.output(e.ID, "event")
	for _, want := range []string{"vm_strategy 'create-swap-delete'", "The runtime config 'dns' is ignored"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the events:\n%s", want, text)
		}
	}
}

func TestDeployRefusesBeforeAnythingIsMade(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		changes []string
		code    int
		message string
	}{
		"no such release":     {[]string{"name: dummy,", "name: nope,"}, 30005, "Release 'nope' doesn't exist"},
		"no such stemcell":    {[]string{`"1"`, `"9"`}, 50003, "Stemcell version '9' for OS 'linux' doesn't exist"},
		"no such job":         {[]string{"{name: web,", "{name: webb,"}, 140029, "webb"},
		"template that fails": {[]string{"greeting: hi", "fail: render"}, 100, "Unable to render instance groups for deployment"},
		"no variable":         {[]string{"greeting: hi", "greeting: ((nope))"}, 540001, "nope"},
		"unknown vm_type":     {[]string{"vm_type: small", "vm_type: tiny"}, 140004, "tiny"},
		"no address left":     {[]string{"instances: 2", "instances: 300"}, 130011, "no more available"},
	} {
		t.Run(name, func(t *testing.T) {
			r.failed(r.deploy(c.changes...), c.code, c.message)
		})
	}
	if calls := r.world.since(0); len(calls) != 0 || len(r.rows()) != 0 {
		t.Errorf("made %q and rows %v", calls, r.rows())
	}
	if dep, err := r.db.Deployment(context.Background(), "demo"); err != nil || dep.Manifest != "" {
		t.Errorf("the failed deployment has manifest %q, %v", dep.Manifest, err)
	}
	r.mustDeploy("instances: 2", "instances: 190") // the addresses were given back
}

func TestDeployCancelledInADrain(t *testing.T) {
	r := newRig(t)
	r.mustDeploy()
	draining := make(chan struct{})
	r.world.script = func(ctx context.Context, _ *fakeVM, name string, _ map[string]string) error {
		if name != "drain" {
			return nil
		}
		close(draining)
		<-ctx.Done()
		return fmt.Errorf("drain: cancelled: %w", context.Cause(ctx))
	}
	id := r.begin(func(ctx context.Context, run *task.Run) (string, error) {
		return r.d.Deploy(ctx, run, DeployRequest{Manifest: manifestOf("hi", "hello")})
	})
	<-draining
	if err := r.queue.Cancel(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	e := r.wait(id)
	text := fmt.Sprintf("Task %d cancelled", id)
	last := e.events[len(e.events)-2:]
	if e.State != task.StateCancelled || last[1].Error.Code != 10001 || last[1].Error.Message != text || last[0].Data.Error != text {
		t.Errorf("state %s, last events:\n%s", e.State, lines(last))
	}
	r.world.script = nil
	r.mustDeploy("hi", "hello")
	r.consistent()
}

// TestVMDiesInAnUpdate: the deploy does not wait for an agent that cannot answer.
func TestVMDiesInAnUpdate(t *testing.T) {
	r := newRig(t)
	r.mustDeploy("instances: 2", "instances: 1")
	r.world.script = func(ctx context.Context, v *fakeVM, name string, _ map[string]string) error {
		if name != "pre-start" {
			return nil
		}
		r.world.kill(v.spec.CID)
		<-ctx.Done()
		return fmt.Errorf("run_script: %w", context.Cause(ctx))
	}
	row := r.rows()[0]
	r.failed(r.deploy("instances: 2", "instances: 1", "hi", "hello"), 450002, "Timed out sending 'run_script' to instance: '"+row.Name())
	r.world.script = nil
	r.mustDeploy("instances: 2", "instances: 1", "hi", "hello")
	r.consistent()
}

func TestTwoDeploysOfOneDeployment(t *testing.T) {
	r := newRig(t)
	r.mustDeploy()
	inside, goOn := make(chan struct{}, 8), make(chan struct{})
	r.world.script = func(_ context.Context, _ *fakeVM, name string, _ map[string]string) error {
		if name == "drain" {
			inside <- struct{}{}
			<-goOn
		}
		return nil
	}
	first := r.begin(func(ctx context.Context, run *task.Run) (string, error) {
		return r.d.Deploy(ctx, run, DeployRequest{Manifest: manifestOf("instances: 2", "instances: 1", "hi", "hello")})
	})
	<-inside
	second := r.deploy("hi", "hey")
	r.failed(second, 100, "Failed to acquire lock for lock:deployment:demo")
	if !strings.Contains(second.events[0].Error.Message, fmt.Sprintf("Locking task id is %d", first)) {
		t.Errorf("events:\n%s", lines(second.events))
	}
	close(goOn)
	r.succeeded(r.wait(first))
}

func TestCreatingAVMFails(t *testing.T) {
	r := newRig(t)
	r.world.faults["create_vm"] = errors.New("no room")
	r.mustFailCompile(r.deploy())
	r.world.faults = map[string]error{}
	r.mustDeploy()
	r.world.faults["create_vm"] = errors.New("no room")
	r.failed(r.deploy("vm_type: small", "vm_type: large"), 100, "no room")
	if row := r.rows()[0]; row.VM != nil || row.UpdateCompleted {
		t.Errorf("an instance without VM says it has one: %+v", row)
	}
	r.world.faults = map[string]error{}
	r.consistent()
	r.mustDeploy()
	r.consistent()
}

func (r *rig) mustFailCompile(e ended) {
	r.t.Helper()
	r.failed(e, 100, "create a compilation VM: create VM compilation-")
	r.consistent()
}
