package operation

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/render"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// rig is a Director with a real database and task queue on a fake world.
type rig struct {
	t     *testing.T
	dir   string
	db    *db.DB
	world *world
	queue *task.Queue
	d     *Director
	// delay and agentTimeout are the Director's; set them before restart.
	delay        time.Duration
	agentTimeout time.Duration
	sources      fakeArtifacts
	killed       map[*task.Queue]bool
}

const cloudConfig = `
azs: [{name: z1}, {name: z2}]
vm_types:
- {name: small, cloud_properties: {memory: 128}}
- {name: large, cloud_properties: {memory: 256}}
disk_types: [{name: small, disk_size: 10}, {name: large, disk_size: 20}]
networks:
- name: default
  type: manual
  subnets: [{range: 10.240.16.0/24, gateway: 10.240.16.1, azs: [z1, z2], static: [10.240.16.200-10.240.16.210]}]
compilation: {workers: 2, reuse_compilation_vms: true, az: z1, vm_type: small, network: default}
`

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), world: newWorld(), delay: -1, agentTimeout: time.Minute, killed: map[*task.Queue]bool{}}
	ctx := context.Background()
	var err error
	if r.db, err = db.Open(ctx, filepath.Join(r.dir, "director.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.db.Close() })
	source := filepath.Join(r.dir, "source.tgz")
	if err := os.WriteFile(source, []byte("source"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.sources = fakeArtifacts{source: source}
	r.addRelease("1")
	for _, version := range []string{"1", "2"} {
		if err := r.db.PutStemcell(ctx, db.Stemcell{Name: "stem", OS: "linux", Version: version, CID: "stemcell-1", APIVersion: 3}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.db.AddConfig(ctx, db.Config{Type: "cloud", Name: "default", Content: cloudConfig, CreatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	r.restart()
	return r
}

// addRelease uploads a release: job web needs package hello, which needs base;
// job smoke is an errand.
func (r *rig) addRelease(version string) {
	r.t.Helper()
	err := r.db.PutRelease(context.Background(), release.Release{
		Name: "dummy", Version: version,
		Jobs: []release.Job{
			{Name: "web", Version: "web" + version, Packages: []string{"hello"}, Provides: []release.ProvidedLink{{Name: "web", Type: "web"}}},
			{Name: "smoke", Version: "smoke" + version, Templates: map[string]string{"run": "bin/run"}},
		},
		Packages: []release.Package{
			{Name: "base", Fingerprint: "base" + version, Blob: "b"},
			{Name: "hello", Fingerprint: "hello" + version, Blob: "h", Dependencies: []string{"base"}},
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// restart is what a new process of the director does.
func (r *rig) restart() {
	r.t.Helper()
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(testWriter{r.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	queue, err := task.Open(ctx, task.Config{DB: r.db, Dir: filepath.Join(r.dir, "tasks"), Workers: 4, LockTimeout: 200 * time.Millisecond, Log: log, Now: time.Now})
	if err != nil {
		r.t.Fatal(err)
	}
	compiled, err := release.OpenCompiledCache(filepath.Join(r.dir, "compiled"), log)
	if err != nil {
		r.t.Fatal(err)
	}
	r.queue = queue
	r.d, err = newDirector(Config{
		DB: r.db, Queue: queue, Compiled: compiled, Dir: filepath.Join(r.dir, "instances"), Name: "test",
		ResurrectionDelay: r.delay, AgentTimeout: r.agentTimeout, Log: log,
	}, r.world, r.sources, fakeRenderer{})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.d.Recover(ctx); err != nil {
		r.t.Fatal(err)
	}
	queue.Start()
	r.t.Cleanup(func() {
		if r.killed[queue] {
			return // its tasks stand still for ever
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = queue.Close(ctx)
	})
}

// testWriter writes logs to the test.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// fakeArtifacts has a source for every package and job.
type fakeArtifacts struct{ source string }

func (f fakeArtifacts) JobSource(_ context.Context, j release.Job) (*release.JobSource, error) {
	return &release.JobSource{Job: j}, nil
}

func (f fakeArtifacts) Path(string) (string, error) { return f.source, nil }

// fakeRenderer "renders" what templates could show: properties and links.
type fakeRenderer struct{}

func (fakeRenderer) Render(_ context.Context, request render.Request) ([]render.Rendered, error) {
	var out []render.Rendered
	for _, i := range request.Instances {
		sum := sha256.New()
		for _, j := range i.Jobs {
			if j.Properties["fail"] == "render" {
				return nil, &render.Error{Message: "Unable to render instance groups for deployment. Errors are:\n  - it was told to fail"}
			}
			if err := json.NewEncoder(sum).Encode(j.Properties); err != nil {
				return nil, err
			}
		}
		hash := fmt.Sprintf("%x", sum.Sum(nil))
		out = append(out, render.Rendered{ConfigurationHash: hash, Archive: []byte(hash), ArchiveDigest: "sha256:" + hash})
	}
	return out, nil
}

// ended is how a task ended.
type ended struct {
	db.Task
	events []event
	result string
}

// event is a line of a task's events.
type event struct {
	Stage, Task, State string
	Tags               []string
	Total, Index       int
	Progress           int
	Data               struct{ Status, Error string }
	Error              struct {
		Code    int
		Message string
	}
}

func (e event) String() string {
	switch {
	case e.Error.Code != 0:
		return fmt.Sprintf("error %d: %s", e.Error.Code, e.Error.Message)
	case e.Data.Status != "":
		return fmt.Sprintf("%d%% %s", e.Progress, e.Data.Status)
	}
	text := e.Stage
	if len(e.Tags) > 0 {
		text += " " + strings.Join(e.Tags, ",")
	}
	return fmt.Sprintf("%s (%d/%d) %s: %s%s", text, e.Index, e.Total, e.Task, e.State, e.Data.Error)
}

// begin enqueues a task.
func (r *rig) begin(f task.Func) int64 {
	r.t.Helper()
	id, err := r.queue.Enqueue(context.Background(), task.Request{Type: "test", Description: "create deployment", Deployment: "demo", User: "admin"}, f)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// wait waits for the end of a task.
func (r *rig) wait(id int64) ended {
	r.t.Helper()
	var e ended
	r.poll("task ends", func() bool {
		var err error
		if e.Task, err = r.db.Task(context.Background(), id); err != nil {
			r.t.Fatal(err)
		}
		return !task.Unfinished(e.State)
	})
	e.result = r.output(id, "result")
	lines := bufio.NewScanner(strings.NewReader(r.output(id, "event")))
	for lines.Scan() {
		var line event
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			r.t.Fatalf("event %s: %v", lines.Text(), err)
		}
		e.events = append(e.events, line)
	}
	return e
}

func (r *rig) output(id int64, kind string) string {
	f, err := r.queue.Output(id, kind)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var b strings.Builder
	if _, err := bufio.NewReader(f).WriteTo(&b); err != nil {
		r.t.Fatal(err)
	}
	return b.String()
}

func (r *rig) poll(what string, done func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited 2 min in vain: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// emptyCache removes all compiled packages.
func (r *rig) emptyCache() {
	r.t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.dir, "compiled"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(r.dir, "compiled", e.Name())); err != nil {
			r.t.Fatal(err)
		}
	}
}
