package vm

import (
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// hierarchy is a folder that looks like a mounted cgroup hierarchy.
func hierarchy(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCgroupsAreFound(t *testing.T) {
	full := hierarchy(t, map[string]string{"cgroup.controllers": "cpuset cpu io memory pids\n"})
	empty := hierarchy(t, map[string]string{"cgroup.controllers": "hugetlb\n"})
	const v1 = `30 25 0:26 / /cg/memory rw,relatime shared:9 - cgroup cgroup rw,memory
31 25 0:27 / /cg/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 25 0:28 / /cg/systemd rw,relatime - cgroup cgroup rw,name=systemd
`
	for name, c := range map[string]struct {
		mountinfo string
		unified   string
		mounts    map[string]string
	}{
		"v2":     {"29 25 0:25 / " + full + " rw - cgroup2 cgroup2 rw,nsdelegate\n", full, map[string]string{}},
		"v1":     {v1, "", map[string]string{"memory": "/cg/memory", "cpu": "/cg/cpu,cpuacct"}},
		"hybrid": {v1 + "33 25 0:25 / " + empty + " rw - cgroup2 cgroup2 rw\n", "", map[string]string{"memory": "/cg/memory", "cpu": "/cg/cpu,cpuacct"}},
		"none":   {"22 1 0:20 / /proc rw - proc proc rw\n", "", map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := findCgroups(c.mountinfo)
			if got.unified != c.unified || !maps.Equal(got.mounts, c.mounts) {
				t.Errorf("got %+v, want %q %v", got, c.unified, c.mounts)
			}
		})
	}
}

func TestLimitsAreWritten(t *testing.T) {
	spec := VMSpec{MemoryMiB: 256, CPUs: 0.5}
	for name, c := range map[string]struct {
		groups cgroups
		want   map[string]string
	}{
		"v2": {cgroups{unified: "yes"}, map[string]string{
			"memory.max": "268435456", "memory.swap.max": "0", "cpu.max": "50000 100000", "pids.max": "16384", "cgroup.procs": "42",
		}},
		"v1 memory": {cgroups{mounts: map[string]string{"memory": "yes"}}, map[string]string{
			"memory.limit_in_bytes": "268435456", "memory.memsw.limit_in_bytes": "268435456", "cgroup.procs": "42",
		}},
		"v1 cpu": {cgroups{mounts: map[string]string{"cpu": "yes"}}, map[string]string{
			"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000", "cgroup.procs": "42",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			empty := maps.Clone(c.want)
			for file := range empty {
				empty[file] = ""
			}
			dir := hierarchy(t, empty)
			controller := strings.TrimPrefix(strings.TrimPrefix(name, "v2"), "v1 ")
			if err := c.groups.create(map[string]string{controller: dir}, 42, spec); err != nil {
				t.Fatal(err)
			}
			for file, want := range c.want {
				if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
					t.Errorf("%s: got %q, %v, want %q", file, got, err, want)
				}
			}
		})
	}
}

func TestWhatCannotBeLimitedIsSaid(t *testing.T) {
	none := cgroups{}.prepare("hfxx")
	if none.Memory || none.CPU || !strings.Contains(none.NotEnforced, "memory") || !strings.Contains(none.NotEnforced, "cpu") {
		t.Errorf("without cgroups: %+v", none)
	}
	// A v2 hierarchy whose root cannot hand its controllers down.
	stuck := cgroups{unified: t.TempDir()}.prepare("hfxx")
	if stuck.Memory || stuck.CPU {
		t.Errorf("controllers that are not handed down: %+v", stuck)
	}
}

func TestFreeSubnet(t *testing.T) {
	p := netip.MustParsePrefix
	for name, c := range map[string]struct {
		used  []netip.Prefix
		start uint32
		want  string
	}{
		"nothing used":      {nil, 0, "198.18.0.0/20"},
		"starting later":    {nil, 3, "198.18.48.0/20"},
		"used ones skipped": {[]netip.Prefix{p("198.18.0.0/20"), p("198.18.17.0/24"), p("198.18.32.1/32")}, 0, "198.18.48.0/20"},
		"wraps around":      {[]netip.Prefix{p("198.19.240.0/20")}, 31, "198.18.0.0/20"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := freeSubnet(c.used, c.start); err != nil || got.String() != c.want {
				t.Errorf("got %v, %v, want %s", got, err, c.want)
			}
		})
	}
	if got, err := freeSubnet([]netip.Prefix{p("198.0.0.0/8")}, 7); err == nil {
		t.Errorf("all are used, and still got %v", got)
	}
}

func TestNameServersAreAvoided(t *testing.T) {
	got := nameServers("# a comment\nsearch example.org\nnameserver 198.18.0.53\nnameserver ::1\n nameserver 10.0.0.2 \nnameserver\nnameserver x\n")
	want := []netip.Prefix{netip.MustParsePrefix("198.18.0.53/32"), netip.MustParsePrefix("10.0.0.2/32")}
	if !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if subnet, err := freeSubnet(got, 0); err != nil || subnet.Contains(got[0].Addr()) {
		t.Errorf("got %v, %v: it hides a name server", subnet, err)
	}
}

func TestClashingStacksAreRefused(t *testing.T) {
	mine := Stack{Name: "hfaa", Subnet: netip.MustParsePrefix("10.240.0.0/20")}
	others := []registration{{Stack{Name: "hfbb", Subnet: netip.MustParsePrefix("10.240.0.0/20")}, "/other"}}
	if _, err := register(others, mine, "/mine"); err == nil || !strings.Contains(err.Error(), "/other") {
		t.Errorf("got %v, want a clash that names the other folder", err)
	}
	got, err := register(nil, mine, "/mine")
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if again, err := register(got, mine, "/mine"); err != nil || !slices.Equal(again, got) {
		t.Errorf("registering again: %v, %v", again, err)
	}
}

func TestProcessIsKnownByMoreThanItsPID(t *testing.T) {
	self, err := identify(os.Getpid())
	if err != nil || !self.alive() {
		t.Fatal(self, err)
	}
	for name, change := range map[string]func(*process){
		"other start": func(p *process) { p.StartTime++ },
		"other boot":  func(p *process) { p.BootID = "x" },
		"no pid":      func(p *process) { p.PID = 0 },
	} {
		other := self
		change(&other)
		if other.alive() {
			t.Errorf("%s: another process is taken for ours", name)
		}
		// Were it wrong, it would end this test.
		if err := other.kill(t.Context()); err != nil {
			t.Errorf("%s: killing what is gone: %v", name, err)
		}
		if _, err := other.handle(); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%s: got %v, want ErrProcessDone", name, err)
		}
	}
}

func TestMeminfoAddsUp(t *testing.T) {
	squeeze := func(s string) string { return regexp.MustCompile(` +`).ReplaceAllString(s, " ") }
	one := memory{total: 262144, used: 100, file: 50, shared: 10, slab: 5}.meminfo()
	for _, want := range []string{"MemTotal: 262144 kB", "MemFree: 262044 kB", "MemAvailable: 262099 kB", "Cached: 60 kB"} {
		if !strings.Contains(squeeze(one), want+"\n") {
			t.Errorf("%q is missing in\n%s", want, one)
		}
	}
	if two := (memory{total: 1, used: 99999999}).meminfo(); len(two) != len(one) || !strings.Contains(squeeze(two), "MemFree: 0 kB") {
		t.Errorf("the file would change its length or go negative:\n%s", two)
	}
}
