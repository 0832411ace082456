package directortest

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

func testLife(r *run) {
	name := r.name()
	manifest := r.manifest(name, "hi")
	id := r.deploy(manifest, "X-Bosh-Context-Id: context-"+name)
	early := r.task(id)
	if early.Deployment != name || early.Description != "create deployment" || early.ContextID != "context-"+name || early.User != r.Username {
		r.Errorf("task: got %+v", early)
	}
	done := r.wait(id)
	if done.State != "done" || done.result() != "/deployments/"+name || done.Timestamp == nil || done.StartedAt == nil {
		r.Fatalf("task: got %+v, result %s", done, done.result())
	}
	stages := map[any]bool{}
	for _, e := range r.events(id) {
		stages[e["stage"]] = true
		for _, key := range []string{"time", "stage", "tags", "total", "task", "index", "state", "progress"} {
			if _, there := e[key]; !there {
				r.Errorf("event without %s: %v", key, e)
			}
		}
	}
	if !stages["Preparing deployment"] || !stages["Creating missing vms"] || !stages["Updating instance"] {
		r.Errorf("stages: got %v", stages)
	}
	kept := r.kept(name)
	if kept == nil || !sameYAML(*kept, manifest) {
		r.Errorf("manifest: got %v, want %s", kept, manifest)
	}
	var instances []struct {
		Job   string
		Index int
		ID    string
		AZ    string
		IPs   []string
	}
	r.decode(r.get("/deployments/"+name+"/instances"), &instances)
	if len(instances) != 1 || instances[0].Job != "web" || instances[0].ID == "" || len(instances[0].IPs) != 1 || instances[0].AZ != "z1" {
		r.Errorf("instances: got %+v", instances)
	}
	if !r.listed(name) {
		r.Error("the deployment is not in the list")
	}

	gone := r.submitted(r.send(http.MethodDelete, "/deployments/"+name, "", "X-Bosh-Context-Id: gone-"+name))
	if k := r.wait(gone); k.State != "done" || k.Description != "delete deployment "+name || k.ContextID != "gone-"+name || k.result() != "/deployments/"+name {
		r.Errorf("delete: got %+v, result %s", k, k.result())
	}
	r.wantFailure("a deleted deployment", r.get("/deployments/"+name), http.StatusNotFound, 70000, "doesn't exist")
	if r.listed(name) {
		r.Error("the deleted deployment is in the list")
	}
	if k := r.task(id); k.State != "done" {
		r.Errorf("the deploy's task: got %+v", k)
	}
}

func sameYAML(a, b string) bool {
	var x, y any
	return yaml.Unmarshal([]byte(a), &x) == nil && yaml.Unmarshal([]byte(b), &y) == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

func (r *run) listed(name string) bool {
	r.Helper()
	var rows []struct {
		Name   string
		Locked bool
	}
	r.decode(r.get("/deployments?exclude_configs=true&exclude_releases=true&exclude_stemcells=true"), &rows)
	for _, d := range rows {
		if d.Name == name {
			if d.Locked {
				r.Errorf("deployment %s is locked without a task", name)
			}
			return true
		}
	}
	return false
}

func testRefusedByTask(r *run) {
	name := r.name()
	id := r.deploy("name: " + name + "\nreleases: [{name: nope, version: 1}]\nstemcells: []\n" +
		"update: {canaries: 1, max_in_flight: 1, canary_watch_time: 1000, update_watch_time: 1000}\ninstance_groups: []\n")
	k := r.wait(id)
	code, message := r.lastError(id)
	if k.State != "error" || k.result() != "'stemcells' needs to be specified" || code != 190019 || message != k.result() {
		r.Errorf("got %+v, result %s, error %d %q", k, k.result(), code, message)
	}
	if kept := r.kept(name); kept != nil {
		r.Errorf("manifest: got %q, want null", *kept)
	}
}

func testFailedCreate(r *run) {
	name := r.name()
	id := r.deploy(Manifest(name, r.StemcellOS, "hi", true))
	k := r.wait(id)
	code, message := r.lastError(id)
	if k.State != "error" || code != 450001 || !strings.Contains(message, "1 of 1 pre-start scripts failed. Failed Jobs: web.") {
		r.Errorf("got %+v, error %d %q", k, code, message)
	}
	if len(k.result()) < 40 || !strings.HasPrefix(message, strings.TrimSuffix(k.result(), "...")) {
		r.Errorf("result: got %q, want the beginning of %q", k.result(), message)
	}
	if kept := r.kept(name); kept != nil {
		r.Errorf("manifest: got %q, want null", *kept)
	}
	if !r.listed(name) {
		r.Error("the failed deployment is not in the list")
	}
	r.wantDone("delete", r.wait(r.submitted(r.send(http.MethodDelete, "/deployments/"+name, ""))))
}

func testFailedUpdate(r *run) {
	name := r.name()
	before := r.manifest(name, "before")
	r.wait(r.deploy(before))
	if k := r.wait(r.deploy(Manifest(name, r.StemcellOS, "after", true))); k.State != "error" {
		r.Errorf("got %+v", k)
	}
	if kept := r.kept(name); kept == nil || !sameYAML(*kept, before) {
		r.Errorf("manifest: got %v, want the previous one", kept)
	}
	r.wantDone("the next deploy", r.wait(r.deploy(r.manifest(name, "repaired"))))
}

// heldOff is the text of a task that waited for the deployment in vain.
func heldOff(k taskRow) bool {
	return k.State == "error" && strings.HasPrefix(k.result(), "Failed to acquire lock for lock:deployment:"+k.Deployment)
}

func testRace(r *run) {
	name := r.name()
	first, second := r.deploy(r.manifest(name, "one")), r.deploy(r.manifest(name, "two"))
	a, b := r.wait(first), r.wait(second)
	effective := 0
	for _, k := range []taskRow{a, b} {
		switch {
		case k.State == "done":
			effective++
		case heldOff(k):
			if code, message := r.lastError(k.ID); code != 100 || !strings.Contains(message, fmt.Sprintf("Locking task id is %d", a.ID+b.ID-k.ID)) {
				r.Errorf("error of task %d: got %d %q", k.ID, code, message)
			}
		default:
			r.Errorf("got %+v, result %s", k, k.result())
		}
	}
	if effective == 0 {
		r.Errorf("neither has succeeded: %+v, %+v", a, b)
	}
}

func testCancel(r *run) {
	name := r.name()
	id := r.deploy(r.manifest(name, "hi"))
	if got := r.send(http.MethodDelete, fmt.Sprintf("/tasks/%d", id), ""); got.status != http.StatusNotFound {
		r.Errorf("DELETE /tasks/N: got %d %q", got.status, got.body)
	}
	if got := r.send(http.MethodDelete, fmt.Sprintf("/task/%d", id), ""); got.status != http.StatusNoContent {
		r.Fatalf("cancel: got %d %q", got.status, got.body)
	}
	if k := r.task(id); k.State != "cancelling" && k.State != "cancelled" {
		r.Errorf("just after: got %+v", k)
	}
	k := r.wait(id)
	code, message := r.lastError(id)
	if k.State != "cancelled" || k.result() != "task cancelled" || code != 10001 || message != fmt.Sprintf("Task %d cancelled", id) {
		r.Errorf("got %+v, result %s, error %d %q", k, k.result(), code, message)
	}
	got := r.send(http.MethodDelete, fmt.Sprintf("/task/%d", id), "")
	if want := fmt.Sprintf("Cannot cancel task %d: invalid state (cancelled)", id); got.status != http.StatusBadRequest || !strings.Contains(got.body, want) {
		r.Errorf("cancel again: got %d %q", got.status, got.body)
	}
	r.wantDone("a deploy afterwards", r.wait(r.deploy(r.manifest(name, "hi"))))
}

func testDeleteBehindDeploy(r *run) {
	name := r.name()
	id := r.deploy(r.manifest(name, "hi"))
	for deadline := time.Now().Add(r.Limit); r.task(id).State == "queued"; r.pause() {
		if time.Now().After(deadline) {
			r.Fatalf("task %d is not begun", id)
		}
	}
	for r.get("/deployments/"+name).status == http.StatusNotFound { // the task has yet to make it
		if !r.task(id).unfinished() {
			r.Fatal("the deploy has ended without a deployment")
		}
		r.pause()
	}
	gone := r.wait(r.submitted(r.send(http.MethodDelete, "/deployments/"+name, "")))
	if gone.State != "done" && !heldOff(gone) {
		r.Errorf("delete: got %+v, result %s", gone, gone.result())
	}
	r.wantDone("deploy", r.wait(id))
	_, exists := map[int]bool{http.StatusOK: true}[r.get("/deployments/"+name).status]
	if exists == (gone.State == "done") {
		r.Errorf("the deployment exists: %t, its delete: %+v", exists, gone)
	}
}
