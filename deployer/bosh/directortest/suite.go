package directortest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Target is a director to be tested. It has the release `dummy` (job `web`)
// and a stemcell, and its cloud config has an availability zone z1, a VM type
// and a network, both named default.
type Target struct {
	URL, CACert, Username, Password string
	StemcellOS                      string
	Limit                           time.Duration // how long a task may take
}

// Manifest is one that can be deployed on a Target. Another greeting changes
// the instance; failing makes its pre-start script fail.
func Manifest(name, stemcellOS, greeting string, failing bool) string {
	return fmt.Sprintf(`---
name: %s
releases: [{name: dummy, version: latest}]
stemcells: [{alias: default, os: %s, version: latest}]
update: {canaries: 1, max_in_flight: 1, canary_watch_time: 500-60000, update_watch_time: 500-60000}
instance_groups:
- name: web
  instances: 1
  azs: [z1]
  vm_type: default
  stemcell: default
  networks: [{name: default}]
  jobs:
  - {name: web, release: dummy, properties: {greeting: %s, password: none, fail: {pre_start: %t}}}
`, name, stemcellOS, greeting, failing)
}

// Suite tests how the director behaves.
func Suite(t *testing.T, target Target) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(target.CACert)) {
		t.Fatal("the target's CA certificate is no PEM")
	}
	d := director{Target: target, http: &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	t.Cleanup(d.http.CloseIdleConnections)
	for _, c := range []struct {
		name string
		test func(*run)
	}{
		{"info answers everybody", testInfo},
		{"all else wants credentials", testCredentials},
		{"what is not there", testAbsent},
		{"manifests that are refused at once", testRefusedManifests},
		{"a deployment's life", testLife},
		{"lists of tasks", testTaskLists},
		{"event output by ranges", testRanges},
		{"a manifest that its task refuses", testRefusedByTask},
		{"a failed first deploy", testFailedCreate},
		{"a failed update", testFailedUpdate},
		{"two deploys at a time", testRace},
		{"cancel", testCancel},
		{"delete waits its turn", testDeleteBehindDeploy},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(&run{T: t, director: d}) })
	}
}

type director struct {
	Target
	http *http.Client
}

// run is one case against the director.
type run struct {
	*testing.T
	director
}

type reply struct {
	status int
	header http.Header
	body   string
}

// send makes a request with the director's credentials, and headers as
// "Key: value".
func (r *run) send(method, path, body string, headers ...string) reply {
	r.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, r.URL+path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	req.SetBasicAuth(r.Username, r.Password)
	for _, h := range headers {
		key, value, _ := strings.Cut(h, ": ")
		req.Header.Set(key, value)
	}
	return r.do(req)
}

func (r *run) do(req *http.Request) reply {
	r.Helper()
	res, err := r.http.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		r.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(content)}
}

func (r *run) get(path string) reply { r.Helper(); return r.send(http.MethodGet, path, "") }

// wantFailure expects one of the director's errors.
func (r *run) wantFailure(what string, got reply, status, code int, description string) {
	r.Helper()
	var f struct {
		Code        int
		Description string
	}
	err := json.Unmarshal([]byte(got.body), &f)
	if err != nil || got.status != status || f.Code != code || !strings.Contains(f.Description, description) {
		r.Errorf("%s: got %d %q, want %d, code %d and %q", what, got.status, got.body, status, code, description)
	}
}

// decode reads JSON whatever type it says to be.
func (r *run) decode(got reply, into any) {
	r.Helper()
	if got.status != http.StatusOK {
		r.Fatalf("got %d %q", got.status, got.body)
	}
	if err := json.Unmarshal([]byte(got.body), into); err != nil {
		r.Fatalf("%v: %q", err, got.body)
	}
}

// taskRow is a task as the director shows it.
type taskRow struct {
	ID          int     `json:"id"`
	State       string  `json:"state"`
	Description string  `json:"description"`
	Timestamp   *int64  `json:"timestamp"`
	StartedAt   *int64  `json:"started_at"`
	Result      *string `json:"result"`
	User        string  `json:"user"`
	Deployment  string  `json:"deployment"`
	ContextID   string  `json:"context_id"`
}

func (k taskRow) unfinished() bool {
	return k.State == "queued" || k.State == "processing" || k.State == "cancelling"
}

func (k taskRow) result() string {
	if k.Result == nil {
		return "null"
	}
	return *k.Result
}

func (r *run) task(id int) taskRow {
	r.Helper()
	var k taskRow
	r.decode(r.get(fmt.Sprintf("/tasks/%d", id)), &k)
	return k
}

// wait waits for a task's end.
func (r *run) wait(id int) taskRow {
	r.Helper()
	for deadline := time.Now().Add(r.Limit); ; r.pause() {
		k := r.task(id)
		if !k.unfinished() {
			return k
		}
		if time.Now().After(deadline) {
			r.Fatalf("task %d has not ended in %s: %+v", id, r.Limit, k)
		}
	}
}

func (r *run) pause() { <-time.After(min(r.Limit/1000, 100*time.Millisecond)) }

// submitted reads the task of a submission's answer.
func (r *run) submitted(got reply) int {
	r.Helper()
	_, id, found := strings.Cut(got.header.Get("Location"), "/tasks/")
	n, err := strconv.Atoi(id)
	if got.status != http.StatusFound || got.body != "" || !found || err != nil {
		r.Fatalf("got %d %q, location %q, want a redirect to a task", got.status, got.body, got.header.Get("Location"))
	}
	return n
}

func (r *run) deploy(manifest string, headers ...string) int {
	r.Helper()
	return r.submitted(r.send(http.MethodPost, "/deployments", manifest, append(headers, "Content-Type: text/yaml")...))
}

// name is one for a deployment that is deleted after the test.
func (r *run) name() string {
	r.Helper()
	name := "suite-" + strings.ToLower(rand.Text()[:10])
	r.Cleanup(func() {
		for deadline := time.Now().Add(r.Limit); time.Now().Before(deadline); {
			got := r.send(http.MethodDelete, "/deployments/"+name+"?force=true", "")
			if got.status == http.StatusNotFound {
				return
			}
			r.wait(r.submitted(got))
		}
		r.Errorf("deployment %s cannot be deleted", name)
	})
	return name
}

func (r *run) manifest(name, greeting string) string {
	return Manifest(name, r.StemcellOS, greeting, false)
}

// events reads a task's events, each a JSON object on a line of its own.
func (r *run) events(id int) []map[string]any {
	r.Helper()
	got := r.get(fmt.Sprintf("/tasks/%d/output?type=event", id))
	var events []map[string]any
	for line := range bytes.Lines([]byte(got.body)) {
		var e map[string]any
		if err := json.Unmarshal(line, &e); err != nil {
			r.Errorf("event %q: %v", line, err)
		}
		events = append(events, e)
	}
	return events
}

// lastError is the error in a task's last event.
func (r *run) lastError(id int) (code int, message string) {
	r.Helper()
	events := r.events(id)
	if len(events) == 0 {
		return 0, ""
	}
	e, ok := events[len(events)-1]["error"].(map[string]any)
	if !ok {
		return 0, ""
	}
	number, _ := e["code"].(float64)
	message, _ = e["message"].(string)
	return int(number), message
}

func (r *run) wantDone(what string, k taskRow) {
	r.Helper()
	if k.State != "done" {
		code, message := r.lastError(k.ID)
		r.Errorf("%s: task %d ended in state %s: %s (code %d)", what, k.ID, k.State, message, code)
	}
}

// kept is the manifest that the director has of a deployment; nil for null.
func (r *run) kept(name string) *string {
	r.Helper()
	var d struct{ Manifest *string }
	r.decode(r.get("/deployments/"+name), &d)
	return d.Manifest
}
