package realtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/holdfast-osb/holdfast/deployer/localdirector"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release/releasetest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

// directorConfig, when set, makes the test binary a director: so that tests
// can kill one.
const directorConfig = "OPERATION_TEST_DIRECTOR"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "vm-init" {
		fmt.Fprintln(os.Stderr, vm.InitMain(os.Args[2:]))
		os.Exit(1)
	}
	if text := os.Getenv(directorConfig); text != "" {
		if err := runDirector(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func runDirector(text string) error {
	c := localdirector.DefaultConfig()
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.VMInit = []string{self, "vm-init"}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var orphaned atomic.Bool
	go func() {
		for parent := os.Getppid(); os.Getppid() == parent; {
			<-time.After(200 * time.Millisecond)
		}
		orphaned.Store(true)
		stop()
	}()
	err = localdirector.Run(ctx, c, log)
	if orphaned.Load() { // the test was killed and cannot clean up
		err = errors.Join(err, vm.Destroy(context.Background(), filepath.Join(c.Dir, "host"), log), os.RemoveAll(filepath.Dir(c.Dir)))
	}
	return err
}

// real is a director in a process of its own, with a stemcell, the dummy
// release and a cloud config.
type real struct {
	t       *testing.T
	config  localdirector.Config
	process *exec.Cmd
	log     *os.File
	client  *http.Client
	net     string // the first three numbers of the deployments' addresses
}

func startReal(t *testing.T, change func(*localdirector.Config)) *real {
	t.Helper()
	if testing.Short() {
		t.Skip("runs real VMs; not part of -short")
	}
	if os.Geteuid() != 0 {
		t.Fatal("VMs are namespaces and mounts: run this test as root")
	}
	work := t.TempDir()
	r := &real{t: t, config: localdirector.DefaultConfig(), client: &http.Client{
		Timeout:       2 * time.Minute,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	r.config.Dir, r.config.Admin.Password, r.config.ResurrectionDelay = filepath.Join(work, "director"), "password", -1
	r.config.Listen = freeAddress(t)
	if change != nil {
		change(&r.config)
	}
	var err error
	if r.log, err = os.Create(filepath.Join(work, "director.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.destroy)
	r.start()
	r.upload("/stemcells", stemcell(t))
	r.upload("/releases", releasetest.Create(t, releasetest.DummyRelease(t), "dummy", "1"))
	stack, _, err := vm.Inspect(r.hostDir())
	if err != nil {
		t.Fatal(err)
	}
	r.net = stack.Subnet.Addr().String()
	r.net = r.net[:strings.LastIndex(r.net, ".")]
	r.cloudConfig()
	return r
}

func (r *real) hostDir() string { return filepath.Join(r.config.Dir, "host") }

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func stemcell(t *testing.T) string {
	t.Helper()
	build := exec.Command("../../stemcell/build.sh")
	build.Stderr = os.Stderr
	out, err := build.Output()
	if err != nil {
		t.Fatalf("build the stemcell: %v", err)
	}
	all := strings.Fields(string(out))
	return all[len(all)-1]
}

func (r *real) start() {
	r.t.Helper()
	text, err := yaml.Marshal(r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	r.process = exec.Command(self)
	r.process.Env = append(os.Environ(), directorConfig+"="+string(text))
	r.process.Stdout, r.process.Stderr = r.log, r.log
	if err := r.process.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.poll(30*time.Second, "the director answers", func() bool {
		resp, err := r.client.Get("https://" + r.config.Listen + "/info")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	})
}

func (r *real) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.process.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
	_ = r.process.Wait() // killed: an error
}

// destroy removes the stack and looks for what is left.
func (r *real) destroy() {
	if r.process != nil && r.process.ProcessState == nil {
		r.signal(syscall.SIGTERM)
	}
	if r.t.Failed() {
		if text, err := os.ReadFile(r.log.Name()); err == nil {
			r.t.Logf("the end of the director's log:\n%s", text[max(0, len(text)-8000):])
		}
	}
	if err := vm.Destroy(context.Background(), r.hostDir(), slog.New(slog.DiscardHandler)); err != nil {
		r.t.Errorf("destroy the stack: %v", err)
	}
	_ = r.log.Close()
}

func (r *real) poll(limit time.Duration, what string, done func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(limit)
	for !done() {
		if time.Now().After(deadline) {
			r.t.Fatalf("waited %v in vain: %s", limit, what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// ask sends a request and returns the body and, for those that start a task,
// its path.
func (r *real) ask(method, path, contentType string, body io.Reader) (text, task string) {
	r.t.Helper()
	req, err := http.NewRequest(method, "https://"+r.config.Listen+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.SetBasicAuth("admin", r.config.Admin.Password)
	req.Header.Set("Content-Type", contentType)
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode >= 400 && resp.StatusCode != http.StatusNotFound {
		r.t.Fatalf("%s %s: %s %s", method, path, resp.Status, all)
	}
	_, task, _ = strings.Cut(resp.Header.Get("Location"), r.config.Listen)
	return string(all), task
}

// taskState is what the director says of a task.
type taskState struct{ State, Result string }

func (r *real) task(path string) taskState {
	r.t.Helper()
	text, _ := r.ask("GET", path, "", nil)
	var s taskState
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		r.t.Fatalf("%s: %q: %v", path, text, err)
	}
	return s
}

// wait waits for a task and returns how it ended.
func (r *real) wait(path string) (s taskState) {
	r.t.Helper()
	if path == "" {
		r.t.Fatal("no task was started")
	}
	r.poll(3*time.Minute, "task "+path+" ends", func() bool {
		s = r.task(path)
		return s.State != "queued" && s.State != "processing" && s.State != "cancelling"
	})
	return s
}

func (r *real) succeeds(task string) {
	r.t.Helper()
	if s := r.wait(task); s.State != "done" {
		events, _ := r.ask("GET", task+"/output?type=event", "", nil)
		debug, _ := r.ask("GET", task+"/output?type=debug", "", nil)
		r.t.Fatalf("task %s: %+v\n%s\nthe end of its debug log:\n%s", task, s, events, debug[max(0, len(debug)-8000):])
	}
}

func (r *real) upload(path, file string) {
	r.t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	_, task := r.ask("POST", path, "application/x-compressed", bytes.NewReader(content))
	r.succeeds(task)
}

func (r *real) cloudConfig() {
	content := strings.NewReplacer("NET", r.net).Replace(`
azs: [{name: z1}]
vm_types:
- {name: small, cloud_properties: {memory: 256}}
- {name: large, cloud_properties: {memory: 320}}
disk_types: [{name: small, disk_size: 64}, {name: large, disk_size: 96}]
networks:
- {name: default, type: manual, subnets: [{range: NET.0/24, gateway: NET.1, azs: [z1]}]}
compilation: {workers: 2, reuse_compilation_vms: true, az: z1, vm_type: small, network: default}
`)
	body, err := json.Marshal(map[string]string{"type": "cloud", "name": "default", "content": content})
	if err != nil {
		r.t.Fatal(err)
	}
	r.ask("POST", "/configs", "application/json", bytes.NewReader(body))
}

// deploy starts a deploy of web servers, with some of the manifest replaced.
func (r *real) deploy(changes ...string) (task string) {
	r.t.Helper()
	_, task = r.ask("POST", "/deployments", "text/yaml", strings.NewReader(strings.NewReplacer(changes...).Replace(`
name: demo
releases: [{name: dummy, version: latest}]
stemcells: [{alias: default, os: debian-bookworm, version: latest}]
update: {canaries: 1, max_in_flight: 1, canary_watch_time: 10-60000, update_watch_time: 10-60000}
instance_groups:
- name: web
  instances: 1
  azs: [z1]
  vm_type: small
  persistent_disk_type: small
  stemcell: default
  networks: [{name: default}]
  jobs: [{name: web, release: dummy, properties: {greeting: hi, password: secret}, consumes: {peers: nil}}]
`)))
	return task
}

// instance is a line of the full state of instances.
type instance struct {
	VMCID    string   `json:"vm_cid"`
	DiskCID  string   `json:"disk_cid"`
	JobState string   `json:"job_state"`
	ID       string   `json:"id"`
	Index    int      `json:"index"`
	IPs      []string `json:"ips"`
}

func (r *real) instances() []instance {
	r.t.Helper()
	_, task := r.ask("GET", "/deployments/demo/instances?format=full", "", nil)
	r.succeeds(task)
	text, _ := r.ask("GET", task+"/output?type=result", "", nil)
	out := make([]instance, 0, 4)
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var i instance
		if err := json.Unmarshal([]byte(line), &i); err != nil {
			r.t.Fatalf("%q: %v", line, err)
		}
		out = append(out, i)
	}
	return out
}

// get asks the web server of an instance.
func (r *real) get(ip, path string) (string, error) {
	c := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + ip + ":8080" + path)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// initOf is the first process of a VM.
func (r *real) initOf(cid string) int {
	r.t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	if err != nil {
		r.t.Fatal(err)
	}
	for _, path := range all {
		mounts, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(mounts), filepath.Join(r.hostDir(), "vms", cid)) {
			continue
		}
		status, err := os.ReadFile(filepath.Join(filepath.Dir(path), "status"))
		if err != nil {
			continue
		}
		_, ids, _ := strings.Cut(string(status), "NSpid:")
		fields := strings.Fields(strings.SplitN(ids, "\n", 2)[0])
		if len(fields) > 1 && fields[len(fields)-1] == "1" {
			var pid int
			if _, err := fmt.Sscan(fields[0], &pid); err == nil && pid != os.Getpid() {
				return pid
			}
		}
	}
	r.t.Fatalf("VM %s has no init", cid)
	return 0
}
