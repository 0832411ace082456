package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/httpapi"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/operation"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

const password = "correct horse"

// work stands for operations and uploads: it remembers what it was asked for.
type work struct {
	mu   sync.Mutex
	asks []any
	// do, when set, is what every task does.
	do func(ctx context.Context, run *task.Run) (string, error)
}

func (f *work) ask(ctx context.Context, run *task.Run, what any) (string, error) {
	f.mu.Lock()
	f.asks = append(f.asks, what)
	do := f.do
	f.mu.Unlock()
	if do != nil {
		return do(ctx, run)
	}
	return "done", nil
}

func (f *work) last() any {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asks) == 0 {
		return nil
	}
	return f.asks[len(f.asks)-1]
}

func (f *work) Deploy(ctx context.Context, run *task.Run, r operation.DeployRequest) (string, error) {
	return f.ask(ctx, run, r)
}

func (f *work) Delete(ctx context.Context, run *task.Run, r operation.DeleteRequest) (string, error) {
	return f.ask(ctx, run, r)
}

func (f *work) ChangeState(ctx context.Context, run *task.Run, r operation.StateRequest) (string, error) {
	return f.ask(ctx, run, r)
}

func (f *work) ActOnInstance(ctx context.Context, run *task.Run, r operation.ActionRequest) (string, error) {
	return f.ask(ctx, run, r)
}

func (f *work) DeleteOrphanDisk(ctx context.Context, run *task.Run, cid string) (string, error) {
	return f.ask(ctx, run, "delete disk "+cid)
}

func (f *work) WriteInstances(ctx context.Context, run *task.Run, r operation.InstancesRequest) (string, error) {
	return f.ask(ctx, run, r)
}

func (f *work) RunErrand(ctx context.Context, run *task.Run, r operation.ErrandRequest) (string, error) {
	return f.ask(ctx, run, r)
}

func (f *work) Errands(context.Context, string) ([]string, error) { return []string{"smoke"}, nil }

// tarball is what an upload's task was given.
type tarball struct {
	kind, content string
	fix           bool
}

func (f *work) take(ctx context.Context, run *task.Run, kind, path string, fix bool) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if err := os.Remove(path); err != nil {
		return "", err
	}
	return f.ask(ctx, run, tarball{kind, string(content), fix})
}

func (f *work) CreateRelease(ctx context.Context, run *task.Run, path string, fix bool) (string, error) {
	return f.take(ctx, run, "release", path, fix)
}

func (f *work) CreateStemcell(ctx context.Context, run *task.Run, path string, fix bool) (string, error) {
	return f.take(ctx, run, "stemcell", path, fix)
}

func (f *work) DeleteRelease(ctx context.Context, run *task.Run, name, version string) (string, error) {
	return f.ask(ctx, run, "delete release "+name+"/"+version)
}

func (f *work) DeleteStemcell(ctx context.Context, run *task.Run, name, version string, force bool) (string, error) {
	return f.ask(ctx, run, "delete stemcell "+name+"/"+version)
}

// fixture is the API in front of a real database and queue.
type fixture struct {
	t       *testing.T
	db      *db.DB
	queue   *task.Queue
	work    *work
	url     string
	uploads string
}

// heldLocks is a queue that says that task 14 holds demo's lock.
type heldLocks struct{ *task.Queue }

func (heldLocks) Locks() []task.Lock {
	return []task.Lock{{Type: "deployment", Resource: []string{"demo"}, TaskID: 14, Expires: time.Unix(1795345464, 85541000)}}
}

func newFixture(t *testing.T, change ...func(*httpapi.Config)) *fixture {
	t.Helper()
	dir := t.TempDir()
	d, err := db.Open(t.Context(), filepath.Join(dir, "director.db"))
	if err != nil {
		t.Fatal(err)
	}
	q, err := task.Open(t.Context(), task.Config{DB: d, Dir: filepath.Join(dir, "tasks"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	q.Start()
	f := &fixture{t: t, db: d, queue: q, work: &work{}, uploads: t.TempDir()}
	config := httpapi.Config{
		DB: d, Queue: q, Deployments: f.work, Inspections: f.work, Uploads: f.work, UploadDir: f.uploads,
		Name: "rig", UUID: "e593e81f-1e8d-4b99-a9e3-2e8e510009df", Version: "276.0.0 (48cea57d)",
		Username: "admin", Password: password, Log: slog.New(slog.DiscardHandler), Now: captured,
	}
	for _, c := range change {
		c(&config)
	}
	server := httptest.NewServer(httpapi.New(config))
	f.url = server.URL
	t.Cleanup(func() {
		server.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := q.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// captured is when the captures' cloud config was made.
func captured() time.Time { return time.Date(2026, 11, 22, 10, 58, 25, 0, time.UTC) }

// response is an answer with its body.
type response struct {
	*http.Response
	body string
}

func (f *fixture) do(method, path string, header map[string]string, body string) response {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.SetBasicAuth("admin", password)
	for k, v := range header {
		if v == "none" {
			r.Header.Del(k)
		} else {
			r.Header.Set(k, v)
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return response{answer, string(text)}
}

// task waits until the task that an answer names has ended.
func (f *fixture) task(answer response) db.Task {
	f.t.Helper()
	if answer.StatusCode != http.StatusFound {
		f.t.Fatalf("got %d %s, want a task", answer.StatusCode, answer.body)
	}
	location, err := answer.Location()
	if err != nil {
		f.t.Fatal(err)
	}
	if location.Scheme != "https" || location.Host != answer.Request.URL.Host || answer.body != "" {
		f.t.Errorf("got Location %s and body %q, want an https URL of the same host and none", location, answer.body)
	}
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		var t struct{ State string }
		if err := json.Unmarshal([]byte(f.do("GET", location.Path, nil, "").body), &t); err != nil {
			f.t.Fatal(err)
		}
		if !task.Unfinished(t.State) {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			f.t.Fatalf("task at %s is still %s", location.Path, t.State)
		}
	}
	rows, err := f.db.Tasks(f.t.Context(), db.TaskFilter{Limit: 1})
	if err != nil || len(rows) == 0 {
		f.t.Fatal("no task", err)
	}
	return rows[0]
}

// check fails the test when err is not nil.
func (f *fixture) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// seed fills the database with what the captured director had.
func (f *fixture) seed() {
	ctx := f.t.Context()
	_, err := f.db.AddConfig(ctx, db.Config{Type: "cloud", Name: "default", Content: "azs:\n- cloud_properties: {}\n  name: z1\n", CreatedAt: captured()})
	f.check(err)
	f.check(f.db.PutRelease(ctx, release.Release{
		Name: "hello", Version: "1.0.0", CommitHash: "empty", UncommittedChanges: true,
		Jobs:     []release.Job{{Name: "smoke", Fingerprint: "j1"}, {Name: "web", Fingerprint: "j2"}},
		Packages: []release.Package{{Name: "hello", Fingerprint: "p1", Blob: "b1", Digest: "sha256:d1"}},
	}))
	f.check(f.db.PutStemcell(ctx, db.Stemcell{Name: "rig-dummy", OS: "rig-os", Version: "1.1", CID: "bd8f5c67-c7e7-4221-9bd7-77fd40943efa", APIVersion: 3}))
	manifest, err := os.ReadFile("testdata/demo.yml")
	f.check(err)
	for _, name := range []string{"demo", "bad"} {
		_, err = f.db.EnsureDeployment(ctx, name, []int64{1})
		f.check(err)
	}
	f.check(f.db.SaveDeployment(ctx, db.Deployment{
		Name: "demo", Manifest: string(manifest), CloudConfigIDs: []int64{1},
		ResolvedManifest: strings.NewReplacer("hello\n  version: latest", "hello\n  version: 1.0.0", "rig-os\n  version: latest", "rig-os\n  version: '1.1'").Replace(string(manifest)),
		Releases:         []db.NameVersion{{Name: "hello", Version: "1.0.0"}}, Stemcells: []db.NameVersion{{Name: "rig-dummy", Version: "1.1"}},
	}))
	f.check(f.db.PutInstance(ctx, db.Instance{
		ID: "cfffc224-bafa-4a75-8fcd-dcbe19029f1f", Deployment: "demo", Group: "web", Index: 0, AZ: "z1", State: db.StateStarted,
		Lifecycle: "service", IPs: []string{"10.244.0.31"},
		VM: &db.VM{CID: "11616", AgentID: "d0c8882f-fd6c-4dd7-baa3-56f89177df9c", CreatedAt: time.Date(2026, 11, 22, 10, 58, 37, 0, time.UTC)},
	}))
	f.check(f.db.PutInstance(ctx, db.Instance{
		ID: "f4e2fb35-c46f-4710-abf3-93abc1331f2b", Deployment: "demo", Group: "web", Index: 1, AZ: "z2", State: db.StateDetached,
		Lifecycle: "service", IPs: []string{"10.244.0.32"},
	}))
	f.check(f.db.PutDisk(ctx, db.Disk{CID: "disk-2", InstanceID: "f4e2fb35-c46f-4710-abf3-93abc1331f2b", SizeMiB: 1024}))
	f.check(f.db.OrphanDisk(ctx, "disk-2", captured()))
	f.check(f.db.PutVariable(ctx, db.Variable{ID: "v1", Name: "/rig/demo/password", Deployment: "demo", Type: "password", Value: json.RawMessage(`"s3cret"`)}))
	f.seedTasks()
}

func (f *fixture) seedTasks() {
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	for _, t := range []db.Task{
		{State: "done", Type: "update_stemcell", Description: "create stemcell", StartedAt: at(1795345103), FinishedAt: at(1795345104), Result: "/stemcells/rig-dummy/1.1"},
		{State: "done", Type: "update_release", Description: "create release", StartedAt: at(1795345104), FinishedAt: at(1795345105), Result: "Created release 'hello/1.0.0'"},
		{State: "done", Type: "update_deployment", Description: "create deployment", Deployment: "demo", StartedAt: at(1795345106), FinishedAt: at(1795345129), Result: "/deployments/demo"},
		{State: "done", Type: "vms", Description: "retrieve vm-stats", Deployment: "demo", StartedAt: at(1795345159), FinishedAt: at(1795345159)},
		{State: "done", Type: "vms", Description: "retrieve vm-stats", Deployment: "demo", StartedAt: at(1795345161), FinishedAt: at(1795345161)},
		{State: "processing", Type: "update_deployment", Description: "create deployment", Deployment: "demo", StartedAt: at(1795345223)},
		{State: "cancelling", Type: "update_deployment", Description: "create deployment", Deployment: "demo", StartedAt: at(1795345265)},
		{State: "queued", Type: "update_deployment", Description: "create deployment", Deployment: "demo", ContextID: "c8"},
	} {
		t.User = "admin"
		_, err := f.db.AddTask(f.t.Context(), t)
		f.check(err)
	}
	for _, e := range []db.Event{
		{Time: at(1795345113), Action: "create", ObjectType: "vm", Instance: "web/cfffc224-bafa-4a75-8fcd-dcbe19029f1f"},
		{Time: at(1795345129), Action: "create", ObjectType: "deployment", ObjectName: "demo", ParentID: 1, Context: json.RawMessage(`{"before":{},"after":{"releases":["hello/1.0.0"]}}`)},
	} {
		e.User, e.Task, e.Deployment = "admin", "3", "demo"
		_, err := f.db.AddEvent(f.t.Context(), e)
		f.check(err)
	}
}
