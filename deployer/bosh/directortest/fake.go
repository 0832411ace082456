package directortest

import (
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"sort"
	"sync"
	"time"
)

// Options of a fake director. The zero value is good.
type Options struct {
	Step        time.Duration // how long each event of a task takes; default 1 ms
	LockTimeout time.Duration // how long a task waits for the deployment; default 50 ms (a real one: 10 s)
	Workers     int           // default 3
	Instances   int           // of each instance group, where the manifest says none; default 1
}

// Fake is a director without VMs.
type Fake struct {
	Username, Password string
	URL, CACert        string

	server  *httptest.Server
	options Options
	workers chan struct{}
	running sync.WaitGroup

	mu          sync.Mutex
	changed     *sync.Cond // on every change of a task
	deployments map[string]*deployment
	tasks       []*task
	faults      []*Fault
	requests    map[string]int // "METHOD /path" without ids, and "ranges"
	connections int
	paused      bool
	closed      bool
	addresses   int
}

type deployment struct {
	name     string
	manifest *string // nil until a deploy has succeeded
	lockedBy int
	groups   map[string][]instance
}

type instance struct {
	id, address string
}

type task struct {
	id          int
	description string
	deployment  string
	contextID   string
	user        string
	state       string
	result      *string
	startedAt   *int64
	endedAt     *int64
	events      []byte
	cancel      bool
}

// Start runs a fake director until the test ends.
func Start(t interface {
	Helper()
	Cleanup(func())
}, options Options) *Fake {
	t.Helper()
	if options.Step == 0 {
		options.Step = time.Millisecond
	}
	if options.LockTimeout == 0 {
		options.LockTimeout = 50 * time.Millisecond
	}
	if options.Workers == 0 {
		options.Workers = 3
	}
	if options.Instances == 0 {
		options.Instances = 1
	}
	f := &Fake{Username: "admin", Password: "fake-password", options: options,
		workers: make(chan struct{}, options.Workers), deployments: map[string]*deployment{}, requests: map[string]int{}}
	f.changed = sync.NewCond(&f.mu)
	f.serve()
	t.Cleanup(f.close)
	return f
}

func (f *Fake) close() {
	f.mu.Lock()
	f.closed = true
	for _, t := range f.tasks {
		t.cancel = true
	}
	f.changed.Broadcast()
	f.mu.Unlock()
	f.server.CloseClientConnections()
	f.server.Close()
	f.running.Wait()
}

func (f *Fake) serve() {
	f.server = httptest.NewUnstartedServer(f.handler())
	f.server.Config.ConnState = f.countConnections
	f.server.Config.ErrorLog = discard
	f.server.StartTLS()
	f.URL = f.server.URL
	f.CACert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw}))
}

// Pause stops all tasks at their next step; Resume lets them go on.
func (f *Fake) Pause() { f.pause(true) }

// Resume ends Pause.
func (f *Fake) Resume() { f.pause(false) }

func (f *Fake) pause(paused bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paused = paused
	f.changed.Broadcast()
}

// Restart ends all running tasks as a director does that was killed: in state
// error, without a result and without an event.
func (f *Fake) Restart() {
	f.mu.Lock()
	for _, t := range f.tasks {
		if t.unfinished() {
			t.state = "error"
			now := time.Now().Unix()
			t.endedAt = &now
		}
	}
	for _, d := range f.deployments {
		d.lockedBy = 0
	}
	f.changed.Broadcast()
	f.mu.Unlock()
	f.server.CloseClientConnections()
}

func (t *task) unfinished() bool {
	return t.state == "queued" || t.state == "processing" || t.state == "cancelling"
}

// TaskInfo is what a test wants to know of a task.
type TaskInfo struct {
	ID                                        int
	Description, Deployment, ContextID, State string
}

// Tasks lists all tasks ever submitted, the oldest first.
func (f *Fake) Tasks() []TaskInfo {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []TaskInfo
	for _, t := range f.tasks {
		list = append(list, TaskInfo{t.id, t.description, t.deployment, t.contextID, t.state})
	}
	return list
}

// Deployments lists the names of all deployments.
func (f *Fake) Deployments() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	names := []string{}
	for name := range f.deployments {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Manifest is that of the last deploy that succeeded.
func (f *Fake) Manifest(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.deployments[name]
	if d == nil || d.manifest == nil {
		return ""
	}
	return *d.manifest
}

// Requests counts the requests of a kind, "GET /tasks/N/output"; "ranges" are
// answers with a part of an output.
func (f *Fake) Requests(kind string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests[kind]
}

// Connections counts those that were ever opened.
func (f *Fake) Connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.connections
}

// AddDeployment puts a deployment there that someone else has made.
func (f *Fake) AddDeployment(name, manifest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deployments[name] = &deployment{name: name, manifest: &manifest, groups: map[string][]instance{}}
}

// Submit makes a task of someone else, as `bosh deploy` or `bosh
// delete-deployment` would, and returns its id.
func (f *Fake) Submit(description, name, manifest string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.enqueue(description, name, "", manifest, false).id
}

func (f *Fake) nextAddress() string {
	f.addresses++
	return fmt.Sprintf("10.244.%d.%d", f.addresses/250, f.addresses%250+2)
}
