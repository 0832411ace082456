package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
)

var asJSON = map[string]string{"Content-Type": "application/json"}

func TestConfigsLife(t *testing.T) {
	f := newFixture(t)
	post := func(body string) response { return f.do("POST", "/configs", asJSON, body) }
	want := `{"content":"---\nreleases: []\n","id":"1","type":"runtime","name":"x","team":null,"created_at":"2026-11-22 10:58:25 UTC","current":true}`
	for range 2 { // the second changes nothing
		if got := post(`{"type":"runtime","name":"x","content":"releases: []"}`); got.StatusCode != http.StatusCreated || got.body != want {
			t.Errorf("create: got %d\n%s\nwant\n%s", got.StatusCode, got.body, want)
		}
	}
	got := post(`{"type":"runtime","name":"x","content":"releases: []\nx: 1","expected_latest_id":"999"}`)
	if want := `{"latest_id":"1","expected_latest_id":"999","description":"Latest Id: '1' does not match expected latest id"}`; got.StatusCode != http.StatusPreconditionFailed || got.body != want {
		t.Errorf("stale: got %d %s, want %s", got.StatusCode, got.body, want)
	}
	if got := post(`{"type":"runtime","name":"x","content":"x: 1","expected_latest_id":"1"}`); got.StatusCode != http.StatusCreated || !strings.Contains(got.body, `"id":"2"`) {
		t.Errorf("update: got %d %s", got.StatusCode, got.body)
	}
	if got := post(`{"type":"runtime","name":"y","content":"x: 1","expected_latest_id":"0"}`); got.StatusCode != http.StatusCreated {
		t.Errorf("create, expecting none: got %d %s", got.StatusCode, got.body)
	}
	got = f.do("POST", "/configs/diff", asJSON, `{"from":{"id":"1"},"to":{"content":"x: 1"}}`)
	if want := `{"diff":[["releases: []","removed"],["",null],["x: 1","added"]]}`; got.body != want {
		t.Errorf("diff: got %s, want %s", got.body, want)
	}
	if got := f.do("POST", "/configs/diff", asJSON, `{"from":{"id":"77"},"to":{"content":"x: 1"}}`); got.StatusCode != http.StatusNotFound || !strings.Contains(got.body, `"code":440012`) {
		t.Errorf("diff with no such config: got %d %s", got.StatusCode, got.body)
	}
	if got := f.do("POST", "/configs/diff", asJSON, `{"type":"runtime","name":"x","content":"[["}`); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, `{"diff":[],"error":"Unable to diff config content: `) {
		t.Errorf("diff with no YAML: got %d %s", got.StatusCode, got.body)
	}
	if got := f.do("DELETE", "/configs/2", nil, ""); got.StatusCode != http.StatusNoContent {
		t.Errorf("delete a version: got %d", got.StatusCode)
	}
	if got := f.do("GET", "/configs/1", nil, ""); !strings.Contains(got.body, `"current":true`) {
		t.Errorf("the version before: got %s, want it current", got.body)
	}
	if got := f.do("DELETE", "/configs?type=runtime&name=x", nil, ""); got.StatusCode != http.StatusNoContent || got.body != "" {
		t.Errorf("delete: got %d %s", got.StatusCode, got.body)
	}
	if got := f.do("DELETE", "/configs?type=runtime", nil, ""); !strings.Contains(got.body, `"'name' is required"`) {
		t.Errorf("delete without a name: got %s", got.body)
	}
	events, err := f.db.Events(t.Context(), db.EventFilter{ObjectType: "config/runtime", ObjectName: "x"})
	if err != nil || len(events) != 2 || events[0].User != "admin" {
		t.Errorf("trail: got %+v, %v, want two", events, err)
	}
}

func TestLegacyConfigsAreTheSame(t *testing.T) {
	f := newFixture(t)
	content := "azs:\n- name: z1\n"
	if got := f.do("POST", "/cloud_configs?name=default", yaml, content); got.StatusCode != http.StatusCreated || got.body != "" {
		t.Fatalf("update: got %d %s", got.StatusCode, got.body)
	}
	f.do("POST", "/cloud_configs", yaml, content)
	if got := f.do("GET", "/configs?type=cloud&latest=false", nil, ""); strings.Count(got.body, `"id"`) != 1 || !strings.Contains(got.body, `"name":"default"`) {
		t.Errorf("as a config: got %s, want one", got.body)
	}
	if got, want := f.do("GET", "/cloud_configs?name=&limit=1", nil, "").body, `[{"properties":"azs:\n- name: z1\n","created_at":"2026-11-22 10:58:25 UTC"}]`; got != want {
		t.Errorf("read: got %s, want %s", got, want)
	}
	if got, want := f.do("POST", "/cloud_configs/diff?name=default", yaml, "azs: []").body, `{"diff":[["azs:","removed"],["- name: z1","removed"],["",null],["azs: []","added"]]}`; got != want {
		t.Logf("diff: got %s", got)
		if !strings.Contains(got, `["- name: z1","removed"]`) {
			t.Errorf("diff: got %s, want %s", got, want)
		}
	}
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/cloud_configs", "", "limit is required"},
		{"GET", "/runtime_configs?limit=x", "", "limit is invalid: 'x' is not an integer"},
		{"POST", "/cpi_configs", "[1", `"code":440011`},
	} {
		if got := f.do(c.method, c.path, yaml, c.body); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, c.want) {
			t.Errorf("%s %s: got %d %s, want %s", c.method, c.path, got.StatusCode, got.body, c.want)
		}
	}
	f.do("POST", "/deployments", yaml, "name: x")
	if got, want := f.do("GET", "/deployment_configs?deployment[]=x", nil, "").body, `[{"deployment":"x","config":{"id":1,"type":"cloud","name":"default"}}]`; got != want {
		t.Errorf("configs of a deployment: got %s, want %s", got, want)
	}
	f.do("POST", "/cloud_configs", yaml, "azs: []")
	if got := f.do("GET", "/deployments", nil, "").body; !strings.Contains(got, `"cloud_config":"outdated"`) {
		t.Errorf("after an update: got %s, want it outdated", got)
	}
}

func TestDiffOfADeployment(t *testing.T) {
	f := newFixture(t)
	f.seed()
	d, err := f.db.Deployment(t.Context(), "demo")
	f.check(err)
	got := f.do("POST", "/deployments/demo/diff?redact=true", yaml, d.Manifest)
	if want := `{"context":{"cloud_config_ids":[1],"runtime_config_ids":[]},"diff":[]}`; got.body != want || got.StatusCode != http.StatusOK {
		t.Errorf("same manifest: got %d %s, want %s", got.StatusCode, got.body, want)
	}
	got = f.do("POST", "/deployments/newone/diff", yaml, d.Manifest)
	for _, want := range []string{`["  version: 1.0.0","added"]`, `["  version: '1.1'","added"]`, `["      password: \"<redacted>\"","added"]`, `["azs:","added"]`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("new deployment: got %s, want %s", got.body, want)
		}
	}
	if strings.Contains(got.body, "s3cret") {
		t.Errorf("new deployment: a property's value shows: %s", got.body)
	}
	if got := f.do("POST", "/deployments/newone/diff?redact=false", yaml, d.Manifest); !strings.Contains(got.body, "s3cret") {
		t.Errorf("without redaction: got %s", got.body)
	}
	got = f.do("POST", "/deployments/newone/diff", yaml, strings.Replace(d.Manifest, "os: rig-os", "os: other", 1))
	if got.StatusCode != http.StatusOK || !strings.Contains(got.body, `{"diff":[],"error":"Unable to diff manifest: Stemcell with Operating System 'other' doesn't exist`) {
		t.Errorf("unknown stemcell: got %d %s", got.StatusCode, got.body)
	}
}
