package httpapi_test

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/operation"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

const (
	webZero = "cfffc224-bafa-4a75-8fcd-dcbe19029f1f"
)

var yaml = map[string]string{"Content-Type": "text/yaml", "X-Bosh-Context-Id": "ctx-1"}

// TestRequestsBecomeTasks sends what the bosh CLI sends and looks at the task
// and at what it is asked to do.
func TestRequestsBecomeTasks(t *testing.T) {
	json := map[string]string{"Content-Type": "application/json", "X-Bosh-Context-Id": "ctx-1"}
	cases := map[string]struct {
		method, path string
		header       map[string]string
		body         string
		want         any
		task         db.Task
	}{
		"deploy": {"POST", "/deployments?recreate=true&fix=true&skip_drain=web%2Cdb&canaries=2&max_in_flight=50%25&dry_run=true&recreate_persistent_disks=true&force_latest_variables=true" +
			"&context=%7B%22cloud_config_ids%22%3A%5B1%5D%2C%22runtime_config_ids%22%3A%5B%5D%7D", yaml, "name: new\n",
			operation.DeployRequest{
				Manifest: []byte("name: new\n"), CloudConfigIDs: []int64{1}, New: true, Recreate: true, RecreatePersistentDisks: true, Fix: true,
				DryRun: true, SkipDrain: "web,db", Canaries: "2", MaxInFlight: "50%", ForceLatestVariables: true,
			},
			db.Task{Type: "update_deployment", Description: "create deployment (dry run)", Deployment: "new"}},
		"deploy again, on the current configs": {"POST", "/deployments", yaml, "name: demo\n",
			operation.DeployRequest{Manifest: []byte("name: demo\n"), CloudConfigIDs: []int64{1}},
			db.Task{Type: "update_deployment", Description: "create deployment", Deployment: "demo"}},
		"delete": {"DELETE", "/deployments/demo?force=true", yaml, "",
			operation.DeleteRequest{Deployment: "demo", Force: true},
			db.Task{Type: "delete_deployment", Description: "delete deployment demo", Deployment: "demo"}},
		"stop all": {"PUT", "/deployments/demo/jobs/*?state=stopped&skip_drain=true&force=true", yaml, "",
			operation.StateRequest{Deployment: "demo", State: "stopped", Manifest: []byte{}, SkipDrain: true, Force: true},
			db.Task{Type: "update_deployment", Description: "create deployment", Deployment: "demo"}},
		"recreate a group": {"PUT", "/deployments/demo/jobs/web?state=recreate&fix=true&dry_run=true&canaries=1&max_in_flight=2", yaml, "",
			operation.StateRequest{Deployment: "demo", Group: "web", State: "recreate", Manifest: []byte{}, Fix: true, DryRun: true, Canaries: "1", MaxInFlight: "2"},
			db.Task{Type: "update_deployment", Description: "create deployment", Deployment: "demo"}},
		"detach one by index": {"PUT", "/deployments/demo/jobs/web/0?state=detached", yaml, "",
			operation.StateRequest{Deployment: "demo", Group: "web", IndexOrID: "0", State: "detached", Manifest: []byte{}},
			db.Task{Type: "update_deployment", Description: "create deployment", Deployment: "demo"}},
		"start one with a manifest": {"PUT", "/deployments/demo/jobs/web/" + webZero + "?state=started", yaml, "name: demo",
			operation.StateRequest{Deployment: "demo", Group: "web", IndexOrID: webZero, State: "started", Manifest: []byte("name: demo")},
			db.Task{Type: "update_deployment", Description: "create deployment", Deployment: "demo"}},
		"stop without converging": {"POST", "/deployments/demo/instance_groups/web/0/actions/stop?hard=true&skip_drain=true", yaml, "",
			operation.ActionRequest{Deployment: "demo", Group: "web", IndexOrID: webZero, Action: "stop", Hard: true, SkipDrain: true},
			db.Task{Type: "update_instance", Description: "stop instance", Deployment: "demo"}},
		"recreate without converging": {"POST", "/deployments/demo/instance_groups/web/" + webZero + "/actions/recreate?ignore_unresponsive_agent=true", yaml, "",
			operation.ActionRequest{Deployment: "demo", Group: "web", IndexOrID: webZero, Action: "recreate", IgnoreUnresponsiveAgent: true},
			db.Task{Type: "update_instance", Description: "recreate instance", Deployment: "demo"}},
		"instances": {"GET", "/deployments/demo/instances?format=full", yaml, "",
			operation.InstancesRequest{Deployment: "demo"},
			db.Task{Type: "vms", Description: "retrieve vm-stats", Deployment: "demo"}},
		"vms": {"GET", "/deployments/demo/vms?format=full", yaml, "",
			operation.InstancesRequest{Deployment: "demo", VMsOnly: true},
			db.Task{Type: "vms", Description: "retrieve vm-stats", Deployment: "demo"}},
		"errand": {"POST", "/deployments/demo/errands/smoke/runs", json, `{"keep-alive":true,"when-changed":true,"instances":[{"group":"web","id":"0"}]}`,
			operation.ErrandRequest{Deployment: "demo", Name: "smoke", KeepAlive: true, WhenChanged: true, Instances: []operation.InstanceFilter{{Group: "web", ID: "0"}}},
			db.Task{Type: "run_errand", Description: "run errand smoke from deployment demo", Deployment: "demo"}},
		"delete a release version": {"DELETE", "/releases/hello?version=1.0.0", yaml, "",
			"delete release hello/1.0.0", db.Task{Type: "delete_release", Description: "delete release: hello"}},
		"delete a stemcell": {"DELETE", "/stemcells/rig-dummy/1.1", yaml, "",
			"delete stemcell rig-dummy/1.1", db.Task{Type: "delete_stemcell", Description: "delete stemcell: rig-dummy/1.1"}},
		"delete a disk": {"DELETE", "/disks/disk-2", yaml, "",
			"delete disk disk-2", db.Task{Type: "delete_orphan_disks", Description: "delete orphan disks"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.seed()
			got := f.task(f.do(c.method, c.path, c.header, c.body))
			if ask := f.work.last(); !reflect.DeepEqual(ask, c.want) {
				t.Errorf("asked for %+v, want %+v", ask, c.want)
			}
			c.task.User, c.task.ContextID, c.task.State, c.task.Result = "admin", "ctx-1", task.StateDone, "done"
			got.ID, got.StartedAt, got.FinishedAt = 0, c.task.StartedAt, c.task.FinishedAt
			if got != c.task {
				t.Errorf("task: got %+v, want %+v", got, c.task)
			}
		})
	}
}

func TestFlagsOfInstancesAndOfAll(t *testing.T) {
	f := newFixture(t)
	f.seed()
	json := map[string]string{"Content-Type": "application/json"}
	if got := f.do("PUT", "/deployments/demo/instance_groups/web/0/ignore", json, `{"ignore":true}`); got.StatusCode != http.StatusOK {
		t.Errorf("ignore: got %d %s", got.StatusCode, got.body)
	}
	if got := f.do("PUT", "/deployments/demo/jobs/web/0/resurrection", json, `{"resurrection_paused":true}`); got.StatusCode != http.StatusOK {
		t.Errorf("pause one: got %d %s", got.StatusCode, got.body)
	}
	i, err := f.db.Instance(t.Context(), webZero)
	if err != nil || !i.Ignore || !i.ResurrectionPaused {
		t.Errorf("instance: got %+v, %v, want both flags", i, err)
	}
	for _, want := range []struct{ body, answer string }{{`{"resurrection_paused":true}`, `{"resurrection":false}`}, {`{"resurrection_paused":false}`, `{"resurrection":true}`}} {
		f.do("PUT", "/resurrection", json, want.body)
		if got := f.do("GET", "/resurrection", nil, ""); got.body != want.answer {
			t.Errorf("after %s: got %s, want %s", want.body, got.body, want.answer)
		}
	}
	for _, path := range []string{"/resurrection", "/deployments/demo/jobs/web/0/resurrection", "/deployments/demo/instance_groups/web/0/ignore"} {
		if got := f.do("PUT", path, json, `{}`); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, `"code":40001`) {
			t.Errorf("%s without its field: got %d %s", path, got.StatusCode, got.body)
		}
	}
}

func TestADeploymentThatIsRefusedIsNotCreated(t *testing.T) {
	f := newFixture(t)
	for _, body := range []string{"a: [1", "{}", "name: [x]"} {
		if got := f.do("POST", "/deployments", yaml, body); got.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: got %d %s", body, got.StatusCode, got.body)
		}
	}
	if got := f.do("GET", "/deployments", nil, ""); got.body != "[]" {
		t.Errorf("deployments: got %s, want none", got.body)
	}
	if got := f.do("GET", "/tasks?verbose=2", nil, ""); got.body != "[]" {
		t.Errorf("tasks: got %s, want none", got.body)
	}
}

func TestRuntimeConfigsAreWarnedOf(t *testing.T) {
	f := newFixture(t)
	f.do("POST", "/configs", map[string]string{"Content-Type": "application/json"}, `{"type":"runtime","name":"default","content":"{}"}`)
	ended := f.task(f.do("POST", "/deployments", yaml, "name: x"))
	events := f.do("GET", "/tasks/1/output?type=event", nil, "")
	if ended.State != task.StateDone || !strings.Contains(events.body, `"type":"warning"`) || !strings.Contains(events.body, "Runtime configs") {
		t.Errorf("got %+v and events %s, want a warning", ended, events.body)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct{ method, path, contentType string }{
		{"POST", "/deployments", "text/yaml"}, {"POST", "/configs", "application/json"}, {"POST", "/tasks/cancel", "application/json"},
	} {
		got := f.do(c.method, c.path, map[string]string{"Content-Type": c.contentType}, strings.Repeat("x", 9<<20))
		if got.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s %s: got %d, want 413", c.method, c.path, got.StatusCode)
		}
	}
}

func TestAClosedQueueIs503(t *testing.T) {
	f := newFixture(t)
	f.check(f.queue.Close(t.Context()))
	got := f.do("POST", "/deployments", yaml, "name: x")
	if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	if got := f.do("GET", "/tasks", nil, ""); got.StatusCode != http.StatusOK {
		t.Errorf("reading: got %d", got.StatusCode)
	}
}

func TestCancelThroughTheAPI(t *testing.T) {
	f := newFixture(t)
	f.work.do = func(ctx context.Context, _ *task.Run) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}
	answer := f.do("POST", "/deployments", yaml, "name: x")
	if got := f.do("DELETE", "/task/1", nil, ""); got.StatusCode != http.StatusNoContent || got.body != "" {
		t.Fatalf("cancel: got %d %s", got.StatusCode, got.body)
	}
	if got := f.task(answer); got.State != task.StateCancelled {
		t.Errorf("got %+v, want it cancelled", got)
	}
	for range 2 {
		f.do("POST", "/deployments", yaml, "name: x")
	}
	got := f.do("POST", "/tasks/cancel", map[string]string{"Content-Type": "application/json"}, `{"states":["queued","processing"],"types":["update_deployment"],"deployment":"x"}`)
	if got.StatusCode != http.StatusNoContent {
		t.Fatalf("cancel many: got %d %s", got.StatusCode, got.body)
	}
	f.task(response{Response: answerTo(answer, "/tasks/2")})
	f.task(response{Response: answerTo(answer, "/tasks/3")})
}

// answerTo is an answer that names another task.
func answerTo(r response, path string) *http.Response {
	other := *r.Response
	other.Header = http.Header{"Location": {"https://" + r.Request.URL.Host + path}}
	return &other
}
