package directortest

import (
	"fmt"
	"net/http"
	"strings"
)

func testInfo(r *run) {
	var info struct {
		User               *string
		UUID               string `json:"uuid"`
		Version            string
		UserAuthentication struct{ Type string } `json:"user_authentication"`
	}
	r.decode(r.get("/info"), &info)
	if info.User == nil || *info.User != r.Username || info.UUID == "" || info.Version == "" || info.UserAuthentication.Type == "" {
		r.Errorf("with credentials: got %+v", info)
	}
	for what, password := range map[string]string{"without credentials": "", "with a wrong password": r.Password + "x"} {
		req, err := http.NewRequest(http.MethodGet, r.URL+"/info", nil)
		if err != nil {
			r.Fatal(err)
		}
		if password != "" {
			req.SetBasicAuth(r.Username, password)
		}
		info.User = nil
		r.decode(r.do(req), &info)
		if info.User != nil {
			r.Errorf("%s: got user %s", what, *info.User)
		}
	}
}

func testCredentials(r *run) {
	for _, path := range []string{"/deployments", "/deployments/nosuch", "/tasks", "/tasks/1", "/tasks/1/output?type=event"} {
		req, err := http.NewRequest(http.MethodGet, r.URL+path, nil)
		if err != nil {
			r.Fatal(err)
		}
		got := r.do(req)
		bare, _, _ := strings.Cut(path, "?")
		if got.status != http.StatusUnauthorized || !strings.Contains(got.body, "Not authorized: '"+bare+"'") || got.header.Get("WWW-Authenticate") == "" {
			r.Errorf("%s: got %d %q", path, got.status, got.body)
		}
	}
}

func testAbsent(r *run) {
	if got := r.get("/nosuch"); got.status != http.StatusNotFound || strings.HasPrefix(got.body, "{") {
		r.Errorf("unknown route: got %d %q, want 404 in plain text", got.status, got.body)
	}
	const gone = "Deployment 'nosuch' doesn't exist"
	r.wantFailure("deployment", r.get("/deployments/nosuch"), http.StatusNotFound, 70000, gone)
	r.wantFailure("instances", r.get("/deployments/nosuch/instances"), http.StatusNotFound, 70000, gone)
	r.wantFailure("delete", r.send(http.MethodDelete, "/deployments/nosuch", ""), http.StatusNotFound, 70000, gone)
	r.wantFailure("delete by force", r.send(http.MethodDelete, "/deployments/nosuch?force=true", ""), http.StatusNotFound, 70000, gone)
	const task = "Task 99999999 not found"
	r.wantFailure("task", r.get("/tasks/99999999"), http.StatusNotFound, 10000, task)
	r.wantFailure("task's output", r.get("/tasks/99999999/output?type=event"), http.StatusNotFound, 10000, task)
	r.wantFailure("cancel", r.send(http.MethodDelete, "/task/99999999", ""), http.StatusNotFound, 10000, task)
	if got := r.get("/tasks?context_id=nobody-has-this-id"); got.status != http.StatusOK || strings.TrimSpace(got.body) != "[]" {
		r.Errorf("tasks of an unknown context: got %d %q", got.status, got.body)
	}
}

func testRefusedManifests(r *run) {
	post := func(body, contentType string) reply {
		return r.send(http.MethodPost, "/deployments", body, "Content-Type: "+contentType)
	}
	good := r.manifest("never-deployed", "hi")
	for _, contentType := range []string{"application/json", "application/x-www-form-urlencoded"} {
		if got := post(good, contentType); got.status != http.StatusNotFound {
			r.Errorf("content type %s: got %d %q, want 404", contentType, got.status, got.body)
		}
	}
	r.wantFailure("broken YAML", post("a: [1, 2", "text/yaml"), http.StatusBadRequest, 440001, "Incorrect YAML structure of the uploaded manifest")
	r.wantFailure("a string", post("just a string", "text/yaml"), http.StatusBadRequest, 440001, "Manifest should be a hash")
	r.wantFailure("nothing", post("", "text/yaml"), http.StatusBadRequest, 440001, "Manifest should not be empty")
	r.wantFailure("no name", post("{foo: bar}", "text/yaml"), http.StatusBadRequest, 40001, "Deployment manifest must have a 'name' key")
	r.wantFailure("never deployed", r.get("/deployments/never-deployed"), http.StatusNotFound, 70000, "doesn't exist")
}

func testTaskLists(r *run) {
	name := r.name()
	first := r.deploy(r.manifest(name, "one"), "X-Bosh-Context-Id: suite-"+name)
	r.wait(first)
	second := r.deploy(r.manifest(name, "one"))
	r.wait(second)
	for query, want := range map[string][]int{
		"context_id=suite-" + name:                                             {first},
		"deployment=" + name:                                                   {second, first},
		"deployment=" + name + "&limit=1&verbose=2":                            {second},
		"deployment=" + name + "&state=queued,processing,cancelling":           {},
		"deployment=" + name + "&state=processing,cancelling,queued&verbose=1": {},
		"deployment=" + name + "&state=done&limit=30":                          {second, first},
	} {
		var rows []taskRow
		r.decode(r.get("/tasks?"+query), &rows)
		got := []int{}
		for _, k := range rows {
			got = append(got, k.ID)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			r.Errorf("%s: got %v, want %v", query, got, want)
		}
	}
}

func testRanges(r *run) {
	name := r.name()
	id := r.deploy(r.manifest(name, "hi"))
	r.wait(id)
	path := fmt.Sprintf("/tasks/%d/output?type=event", id)
	whole := r.get(path)
	if whole.status != http.StatusOK || len(whole.body) < 200 {
		r.Fatalf("got %d %q", whole.status, whole.body)
	}
	part := r.send(http.MethodGet, path, "", "Range: bytes=100-")
	if part.status != http.StatusPartialContent || part.body != whole.body[100:] {
		r.Errorf("from 100: got %d %q", part.status, part.body)
	}
	if want := fmt.Sprintf("bytes 100-%d/%d", len(whole.body)-1, len(whole.body)); part.header.Get("Content-Range") != want {
		r.Errorf("from 100: got range %q, want %q", part.header.Get("Content-Range"), want)
	}
	for _, from := range []int{len(whole.body), 9999999} {
		if got := r.send(http.MethodGet, path, "", fmt.Sprintf("Range: bytes=%d-", from)); got.status != http.StatusRequestedRangeNotSatisfiable {
			r.Errorf("from %d, past the end: got %d %q", from, got.status, got.body)
		}
	}
	r.wantFailure("unknown type", r.get(fmt.Sprintf("/tasks/%d/output?type=bogus", id)), http.StatusUnauthorized, 600000, "Unknown type bogus")
}
