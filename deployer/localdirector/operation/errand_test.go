package operation

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// withErrand is the manifest with an errand's own group, and the errand's job
// beside the web servers.
func withErrand(changes ...string) []string {
	return append([]string{
		"jobs: [{name: web, release: dummy, properties: {greeting: hi}}]",
		`jobs: [{name: web, release: dummy, properties: {greeting: hi}}, {name: smoke, release: dummy}]
- name: check
  lifecycle: errand
  instances: 1
  azs: [z1]
  vm_type: small
  stemcell: default
  networks: [{name: default}]
  jobs: [{name: smoke, release: dummy}, {name: web, release: dummy}]
`}, changes...)
}

func (r *rig) errand(q ErrandRequest) ended {
	r.t.Helper()
	q.Deployment = "demo"
	return r.wait(r.begin(func(ctx context.Context, run *task.Run) (string, error) { return r.d.RunErrand(ctx, run, q) }))
}

// ran lists where an errand ran: group, index and exit code.
func (r *rig) ran(e ended) []string {
	r.t.Helper()
	var out []string
	for _, line := range strings.Split(strings.TrimSpace(e.result), "\n") {
		if line == "" {
			continue
		}
		var result errandResult
		if err := json.Unmarshal([]byte(line), &result); err != nil {
			r.t.Fatalf("result %s: %v", line, err)
		}
		for _, row := range r.rows() {
			if row.ID == result.Instance.ID {
				out = append(out, fmt.Sprintf("%s/%d %d", result.Instance.Group, row.Index, result.ExitCode))
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestErrand(t *testing.T) {
	r := newRig(t)
	r.mustDeploy(withErrand()...)
	if names, err := r.d.Errands(context.Background(), "demo"); err != nil || !reflect.DeepEqual(names, []string{"check", "smoke"}) {
		t.Errorf("errands %q, %v", names, err)
	}
	second := r.rows()[2].ID // check, web/0, web/1
	for name, c := range map[string]struct {
		request ErrandRequest
		want    []string
		result  string
	}{
		"by job":      {ErrandRequest{Name: "smoke"}, []string{"check/0 0", "web/0 0", "web/1 0"}, "3 succeeded, 0 errored, 0 canceled"},
		"by group":    {ErrandRequest{Name: "check"}, []string{"check/0 0"}, "1 succeeded, 0 errored, 0 canceled"},
		"on a group":  {ErrandRequest{Name: "smoke", Instances: []InstanceFilter{{Group: "web"}}}, []string{"web/0 0", "web/1 0"}, "2 succeeded, 0 errored, 0 canceled"},
		"on an index": {ErrandRequest{Name: "smoke", Instances: []InstanceFilter{{Group: "web", ID: "0"}}}, []string{"web/0 0"}, "1 succeeded, 0 errored, 0 canceled"},
		"on an ID":    {ErrandRequest{Name: "smoke", Instances: []InstanceFilter{{Group: "web", ID: second}}}, []string{"web/1 0"}, "1 succeeded, 0 errored, 0 canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			calls := r.world.count()
			e := r.errand(c.request)
			r.succeeded(e)
			if made := slices.Contains(r.world.since(calls), "create_vm"); made != slices.Contains(c.want, "check/0 0") {
				t.Errorf("a VM was made: %v", made)
			}
			if got := r.ran(e); !reflect.DeepEqual(got, c.want) || e.Result != c.result {
				t.Errorf("ran on %q, result %q; want %q, %q", got, e.Result, c.want, c.result)
			}
			if row := r.rows()[0]; row.VM != nil {
				t.Errorf("the errand's VM is kept: %+v", row.VM)
			}
			r.consistent()
		})
	}
	e := r.errand(ErrandRequest{Name: "smoke", Instances: []InstanceFilter{{Group: "web", ID: "first"}}})
	if got := r.ran(e); len(got) != 1 {
		t.Errorf("first: ran on %q", got)
	}
}

func TestErrandThatFails(t *testing.T) {
	r := newRig(t)
	r.mustDeploy(withErrand()...)
	r.world.errand = func(_ context.Context, v *fakeVM, _ string) (int, error) {
		return map[bool]int{true: 1, false: 143}[v.agent.applied.Index == 0], nil
	}
	e := r.errand(ErrandRequest{Name: "smoke", Instances: []InstanceFilter{{Group: "web"}}})
	r.succeeded(e)
	if want := []string{"web/0 1", "web/1 143"}; !reflect.DeepEqual(r.ran(e), want) || e.Result != "0 succeeded, 1 errored, 1 canceled" {
		t.Errorf("ran %q, result %q", r.ran(e), e.Result)
	}
	if !strings.Contains(e.result, `"stdout":"said\n","stderr":"complained\n"`) {
		t.Errorf("result %s", e.result)
	}
}

func TestErrandKeepsItsVMAlive(t *testing.T) {
	r := newRig(t)
	r.mustDeploy(withErrand()...)
	r.succeeded(r.errand(ErrandRequest{Name: "check", KeepAlive: true}))
	cid := r.rows()[0].VM.CID
	r.mustDeploy(withErrand("greeting: hi", "greeting: hello")...)
	calls := r.world.count()
	r.succeeded(r.errand(ErrandRequest{Name: "check", KeepAlive: true}))
	if got := r.world.since(calls); r.rows()[0].VM.CID != cid || !reflect.DeepEqual(got, []string{"run_errand"}) {
		t.Errorf("the second run did %q", got)
	}
	r.succeeded(r.errand(ErrandRequest{Name: "check"}))
	if r.rows()[0].VM != nil {
		t.Error("the VM is still there after a run without keep-alive")
	}
	r.consistent()
}

func TestErrandOnlyWhenChanged(t *testing.T) {
	r := newRig(t)
	r.mustDeploy(withErrand()...)
	q := ErrandRequest{Name: "smoke", WhenChanged: true}
	for _, want := range []string{"3 succeeded, 0 errored, 0 canceled", "skipped - no changes detected"} {
		if e := r.errand(q); e.Result != want {
			t.Errorf("result %q, want %q", e.Result, want)
		}
	}
	r.mustDeploy(withErrand("greeting: hi", "greeting: hello")...)
	if e := r.errand(q); e.Result != "3 succeeded, 0 errored, 0 canceled" {
		t.Errorf("after a change: result %q", e.Result)
	}
}

func TestErrandFaults(t *testing.T) {
	r := newRig(t)
	r.failed(r.errand(ErrandRequest{Name: "smoke"}), 70000, "doesn't exist")
	r.mustDeploy(withErrand()...)
	r.failed(r.errand(ErrandRequest{Name: "nope"}), 70009, "Errand 'nope' doesn't exist")
	r.failed(r.errand(ErrandRequest{Name: "check", Instances: []InstanceFilter{{Group: "web"}}}), 510000, "Filtering by instances is not supported")
	r.failed(r.errand(ErrandRequest{Name: "smoke", Instances: []InstanceFilter{{Group: "web", ID: "9"}}}), 100, "No instances match selection criteria: [web/9]")
	r.world.faults["run_errand"] = fmt.Errorf("boom")
	r.failed(r.errand(ErrandRequest{Name: "check"}), 100, "boom")
	if r.rows()[0].VM != nil {
		t.Error("the errand's VM is left after a fault")
	}
	r.consistent()
	r.succeeded(r.changeState(StateRequest{State: "stopped", Group: "web", IndexOrID: "1"}))
	r.failed(r.errand(ErrandRequest{Name: "smoke"}), 510000, "is stopped, unable to run errand. Maybe start vm?")
}

func TestErrandCancelled(t *testing.T) {
	r := newRig(t)
	r.mustDeploy(withErrand()...)
	running := make(chan struct{})
	r.world.errand = func(ctx context.Context, _ *fakeVM, _ string) (int, error) {
		close(running)
		<-ctx.Done()
		return 143, fmt.Errorf("run_errand: cancelled: %w", context.Cause(ctx))
	}
	id := r.begin(func(ctx context.Context, run *task.Run) (string, error) {
		return r.d.RunErrand(ctx, run, ErrandRequest{Deployment: "demo", Name: "check"})
	})
	<-running
	if err := r.queue.Cancel(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	e := r.wait(id)
	if got := r.ran(e); e.State != task.StateCancelled || !reflect.DeepEqual(got, []string{"check/0 143"}) {
		t.Errorf("state %s, ran %q", e.State, got)
	}
	if r.rows()[0].VM != nil {
		t.Error("the errand's VM is left")
	}
}
