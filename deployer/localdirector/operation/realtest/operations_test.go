package realtest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector"
)

// TestKilledAtRandom kills the director at random moments of deploys, with
// kill -9. Each time the next director must be able to deploy; in the end a
// delete leaves nothing. OPERATION_KILLS says how many times, OPERATION_SEED
// which moments.
func TestKilledAtRandom(t *testing.T) {
	kills, seed := setting(t, "OPERATION_KILLS", 8), setting(t, "OPERATION_SEED", int(time.Now().UnixNano()&0xffffff))
	t.Logf("%d kills, seed %d", kills, seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	r := startReal(t, nil)
	r.succeeds(r.deploy())
	address := r.instances()[0].IPs[0]
	for n := range kills {
		// Now a new VM, now a new disk, now other templates, now another size.
		changes := []string{
			"vm_type: small", []string{"vm_type: small", "vm_type: large"}[n%2],
			"disk_type: small", []string{"disk_type: small", "disk_type: large"}[n/2%2],
			"greeting: hi", fmt.Sprintf("greeting: hi%d", n),
			"instances: 1", fmt.Sprintf("instances: %d", 1+n%3),
		}
		task := r.deploy(changes...)
		moment := time.Duration(random.IntN(1500)) * time.Millisecond
		<-time.After(moment)
		r.signal(syscall.SIGKILL)
		r.start()
		if s := r.task(task); s.State == "processing" || s.State == "queued" {
			t.Fatalf("the interrupted task is %+v", s)
		}
		r.succeeds(r.deploy(changes...))
		all := r.instances()
		if len(all) != 1+n%3 {
			t.Errorf("kill %d after %v: %d instances, want %d", n, moment, len(all), 1+n%3)
		}
		for _, i := range all {
			if i.JobState != "running" {
				t.Errorf("kill %d after %v: instance %+v", n, moment, i)
			}
			if text, err := r.get(i.IPs[0], "/"); err != nil || !strings.HasPrefix(text, fmt.Sprintf("hi%d\n", n)) {
				t.Errorf("kill %d after %v: %s says %q, %v", n, moment, i.IPs[0], text, err)
			}
		}
		if text, err := r.get(address, "/starts"); err != nil || strings.TrimSpace(text) == "1" || strings.TrimSpace(text) == "0" {
			t.Errorf("kill %d after %v: the first instance has started %q times, %v: its disk is another one", n, moment, text, err)
		}
		r.holds("vms", len(all))
	}
	_, task := r.ask("DELETE", "/deployments/demo", "", nil)
	<-time.After(time.Duration(random.IntN(800)) * time.Millisecond)
	r.signal(syscall.SIGKILL)
	r.start()
	if s := r.task(task); s.State != "done" {
		if _, again := r.ask("DELETE", "/deployments/demo", "", nil); again != "" {
			r.succeeds(again)
		}
	}
	r.holds("vms", 0)
	r.holds("disks", 0)
}

// holds checks how many VMs or disks there are on the host.
func (r *real) holds(what string, want int) {
	r.t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.hostDir(), what))
	if err != nil {
		r.t.Fatal(err)
	}
	if len(entries) != want {
		r.t.Errorf("%d %s on the host, want %d: %v", len(entries), what, want, entries)
	}
}

func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%s is no number", name, text)
	}
	return n
}

// TestKilledVMRunsAgain: with no delay, the jobs of a VM that was killed run
// again, on their disk, within five seconds.
func TestKilledVMRunsAgain(t *testing.T) {
	r := startReal(t, func(c *localdirector.Config) { c.ResurrectionDelay = 0 })
	r.succeeds(r.deploy("instances: 1", "instances: 2"))
	before := r.instances()
	for _, victims := range [][]instance{before[:1], before} {
		var inits []int
		for _, v := range victims {
			inits = append(inits, r.initOf(r.vmOf(v.ID)))
		}
		killed := time.Now()
		for _, pid := range inits {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		for _, v := range victims {
			r.poll(time.Second, "the server is gone", func() bool {
				_, err := r.get(v.IPs[0], "/")
				return err != nil || time.Since(killed) > 500*time.Millisecond
			})
			r.poll(time.Minute, "the server answers", func() bool { _, err := r.get(v.IPs[0], "/"); return err == nil })
			took := time.Since(killed)
			t.Logf("%d VMs killed: one answers after %v", len(victims), took.Round(10*time.Millisecond))
			if took > 5*time.Second {
				t.Errorf("it took %v, want at most 5 s", took)
			}
		}
		r.poll(time.Minute, "the locks are free", func() bool { text, _ := r.ask("GET", "/locks", "", nil); return text == "[]" })
	}
	for i, now := range r.instances() {
		if now.JobState != "running" || now.DiskCID == "" || now.VMCID == before[i].VMCID || !sameDisk(before, now) {
			t.Errorf("instance is %+v, was %+v", now, before[i])
		}
	}
	if text, err := r.get(before[0].IPs[0], "/starts"); err != nil || strings.TrimSpace(text) != "3" {
		t.Errorf("started %q times, %v, want 3 on the same disk", text, err)
	}
}

func sameDisk(before []instance, now instance) bool {
	for _, b := range before {
		if b.ID == now.ID {
			return b.DiskCID == now.DiskCID
		}
	}
	return false
}

func (r *real) vmOf(id string) string {
	r.t.Helper()
	for _, i := range r.instances() {
		if i.ID == id {
			return i.VMCID
		}
	}
	r.t.Fatalf("no instance %s", id)
	return ""
}

// TestHungVMIsReplaced: a VM whose processes stand still is reported as such,
// and replaced once its agent has been silent for long enough.
func TestHungVMIsReplaced(t *testing.T) {
	r := startReal(t, func(c *localdirector.Config) { c.ResurrectionDelay, c.AgentTimeout = 0, 8*time.Second })
	r.succeeds(r.deploy())
	before := r.instances()[0]
	freezer := filepath.Join(r.freezer(before.VMCID), "freezer.state")
	if err := os.WriteFile(freezer, []byte("FROZEN"), 0o600); err != nil {
		t.Skipf("this machine cannot freeze a VM: %v", err)
	}
	if now := r.instances()[0]; now.JobState != "unresponsive agent" {
		t.Errorf("a frozen VM is reported as %+v", now)
	}
	r.poll(time.Minute, "the VM is replaced", func() bool {
		now := r.instances()[0]
		return now.VMCID != before.VMCID && now.JobState == "running"
	})
	if now := r.instances()[0]; now.DiskCID != before.DiskCID {
		t.Errorf("instance is %+v, was %+v", now, before)
	}
	r.holds("vms", 1)
}

func (r *real) freezer(cid string) string {
	r.t.Helper()
	found, err := filepath.Glob("/sys/fs/cgroup/freezer/*/" + cid)
	if err != nil || len(found) != 1 {
		r.t.Skipf("VM %s has no freezer cgroup: %v, %v", cid, found, err)
	}
	return found[0]
}

// TestTimes reports how long a deploy takes whose packages are compiled.
func TestTimes(t *testing.T) {
	r := startReal(t, nil)
	measure := func(what string, f func()) {
		begin := time.Now()
		f()
		t.Logf("%s: %v", what, time.Since(begin).Round(10*time.Millisecond))
	}
	measure("first deploy, compiling", func() { r.succeeds(r.deploy()) })
	measure("deploy of nothing new", func() { r.succeeds(r.deploy()) })
	measure("deploy of other templates", func() { r.succeeds(r.deploy("greeting: hi", "greeting: hello")) })
	measure("deploy of another vm_type", func() { r.succeeds(r.deploy("vm_type: small", "vm_type: large")) })
	remove := func() { _, task := r.ask("DELETE", "/deployments/demo", "", nil); r.succeeds(task) }
	measure("delete", remove)
	measure("deploy of one VM, warm", func() { r.succeeds(r.deploy()) })
	remove()
	measure("deploy of eight VMs, warm", func() { r.succeeds(r.deploy("instances: 1", "instances: 8", "max_in_flight: 1", "max_in_flight: 8")) })
	measure("delete of eight", remove)
	r.holds("vms", 0)
	r.holds("disks", 0)
}
