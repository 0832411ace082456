package vm_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
)

// errand runs a script in the VM as a job: under the VM's limits.
func errand(t *testing.T, c *agent.Client, script string) agent.ErrandResult {
	t.Helper()
	spec := upload(t, c, "errand", map[string]string{"monit": "", "bin/run": "#!/bin/bash\n" + script + "\n"})
	if err := c.Apply(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	result, err := c.RunErrand(t.Context(), "errand")
	if err != nil {
		t.Fatal(err)
	}
	return result
}

const hog = "head -c 300M /dev/zero | tail -c 299M | wc -c"

func TestMemoryLimitHolds(t *testing.T) {
	f := newFixture(t)
	if !f.Limits().Memory {
		t.Fatalf("this kernel cannot limit memory: %s", f.Limits().NotEnforced)
	}
	small := f.spec(10)
	small.MemoryMiB = 128
	v, c := f.create(t, small)
	if got := errand(t, c, hog); strings.TrimSpace(got.Stdout) == strconv.Itoa(299<<20) {
		t.Errorf("300 MiB were allocated in a VM of 128: %+v", got)
	}
	if err := c.Ping(t.Context()); err != nil || !v.Alive() {
		t.Errorf("the VM did not survive its job: %v", err)
	}
	if got := errand(t, c, "awk '/MemTotal/ {print $2}' /proc/meminfo"); strings.TrimSpace(got.Stdout) != strconv.Itoa(128<<10) {
		t.Errorf("the VM sees %s kB of memory, want %d", got.Stdout, 128<<10)
	}

	large := f.spec(11)
	large.MemoryMiB = 512
	_, c = f.create(t, large)
	if got := errand(t, c, hog); strings.TrimSpace(got.Stdout) != strconv.Itoa(299<<20) {
		t.Errorf("300 MiB do not fit into a VM of 512: %+v", got)
	}
}

func TestVMSeesItsMemoryBeingUsed(t *testing.T) {
	f := newFixture(t)
	v, c := f.create(t, f.spec(10))
	errand(t, c, "head -c 60M /dev/zero >/dev/shm/file")
	eventually(t, "60 MiB in use in /proc/meminfo", 10*time.Second, func() bool {
		kB, err := strconv.Atoi(mustInside(t, v, "awk '/Shmem:/ {print $2}' /proc/meminfo"))
		return err == nil && kB >= 60<<10
	})
}

func TestCPULimitHolds(t *testing.T) {
	f := newFixture(t)
	if !f.Limits().CPU {
		t.Fatalf("this kernel cannot limit CPUs: %s", f.Limits().NotEnforced)
	}
	spec := f.spec(10)
	spec.CPUs = 0.25
	v, c := f.create(t, spec)
	// A second of the clock gives a busy loop at most a quarter of the CPU's.
	got := errand(t, c, "TIMEFORMAT=%U; time timeout 2 bash -c 'while :; do :; done'")
	used, err := strconv.ParseFloat(strings.TrimSpace(got.Stderr), 64)
	if err != nil || used > 1.0 {
		t.Errorf("2 s in a VM with a quarter of a CPU used %v s of it (%v): %+v", used, err, got)
	}
	folder, ok := v.Cgroups()["cpu"]
	if !ok {
		folder = v.Cgroups()[""]
	}
	stat, err := os.ReadFile(filepath.Join(folder, "cpu.stat"))
	if err != nil || !regexp.MustCompile(`nr_throttled [1-9]`).Match(stat) {
		t.Errorf("the VM was not throttled: %v %s", err, stat)
	}
}
