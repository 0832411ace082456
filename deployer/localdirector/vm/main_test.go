package vm_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be what a director is: the first process of a
// VM, and a director that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "vm-init":
			fmt.Fprintln(os.Stderr, vm.InitMain(os.Args[2:]))
			os.Exit(1)
		case "confined":
			fmt.Fprintln(os.Stderr, confined(os.Args[2], os.Args[3]))
			os.Exit(1)
		case "failing-init":
			_, _ = os.NewFile(4, "status").WriteString("ok\nthere is no root today")
			os.Exit(1)
		case "stalling-init":
			select {}
		case "director-to-be-killed":
			if err := directorToBeKilled(os.Args[2], os.Args[3], os.Args[4]); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			os.Exit(1)
		}
	}
	code := m.Run()
	if sharedDir != "" {
		_ = os.RemoveAll(sharedDir)
	}
	os.Exit(code)
}

// shared is what all tests of a run use of the stemcell: its image, and its
// unpacked root, which VMs only read.
type shared struct{ image, root string }

var sharedDir string // removed at the end, if any test has made it

var stemcell = sync.OnceValues(func() (shared, error) {
	build := exec.Command("../stemcell/build.sh")
	build.Stderr = os.Stderr
	out, err := build.Output()
	if err != nil {
		return shared{}, fmt.Errorf("build the stemcell: %w", err)
	}
	dir, err := os.MkdirTemp("", "vm-stemcell-")
	if err != nil {
		return shared{}, err
	}
	sharedDir = dir
	s := shared{filepath.Join(dir, "image"), filepath.Join(dir, "root")}
	if err := os.Mkdir(s.root, 0o755); err != nil {
		return s, err
	}
	for _, arguments := range [][]string{
		{"-xzf", strings.TrimSpace(string(out)), "-C", dir, "image"},
		{"-xzpf", s.image, "--numeric-owner", "-C", s.root},
	} {
		if out, err := exec.Command("tar", arguments...).CombinedOutput(); err != nil {
			return s, fmt.Errorf("unpack the stemcell: %w: %s", err, out)
		}
	}
	return s, nil
})

func requireTools(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("these tests make namespaces, devices and links: run them as root")
	}
	for tool, pkg := range map[string]string{"mkfs.ext4": "e2fsprogs", "tar": "tar", "nsenter": "util-linux", "ip": "iproute2"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing: apt-get install %s", tool, pkg)
		}
	}
}

type fixture struct {
	*vm.Host
	dir      string
	stemcell string
	gateway  netip.Addr
	deaths   chan string
}

// newFixture opens a host with a stemcell and a subnet; the test's end destroys it.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	requireTools(t)
	s, err := stemcell()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Cleanup(func() {
		if err := vm.Destroy(context.Background(), dir, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("destroy: %v", err)
		}
	})
	f := openFixture(t, dir)
	// As if imported, but unpacked once for all tests.
	if err := os.Mkdir(filepath.Join(dir, "stemcells", f.stemcell), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(s.root, filepath.Join(dir, "stemcells", f.stemcell, "root")); err != nil {
		t.Fatal(err)
	}
	return f
}

func openFixture(t *testing.T, dir string) *fixture {
	t.Helper()
	return openFixtureWith(t, dir, "vm-init")
}

// openFixtureWith opens a host of which the VMs start with another init.
func openFixtureWith(t *testing.T, dir, init string) *fixture {
	t.Helper()
	f := &fixture{dir: dir, stemcell: "stemcell-shared", deaths: make(chan string, 16)}
	var err error
	f.Host, err = vm.Open(t.Context(), vm.Config{
		Dir: dir, Log: slog.New(slog.NewTextHandler(testWriter{t}, nil)), InitCommand: []string{"/proc/self/exe", init},
		OnDeath: func(cid string) { f.deaths <- cid },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	f.gateway = f.Stack().Subnet.Addr().Next()
	if err := f.EnsureSubnet(t.Context(), netip.PrefixFrom(f.gateway, 24)); err != nil {
		t.Fatal(err)
	}
	return f
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// spec is of a small VM with the n-th address.
func (f *fixture) spec(n int) vm.VMSpec {
	address := f.Stack().Subnet.Addr()
	for range n {
		address = address.Next()
	}
	return vm.VMSpec{
		StemcellCID: f.stemcell, AgentID: fmt.Sprintf("agent-%d", n), MemoryMiB: 256, CPUs: 1,
		Networks: map[string]vm.Network{"default": {
			Address: netip.PrefixFrom(address, 24), Gateway: f.gateway, DNS: []netip.Addr{f.gateway}, Default: []string{"dns", "gateway"},
		}},
	}
}

func (f *fixture) create(t *testing.T, spec vm.VMSpec) (*vm.VM, *agent.Client) {
	t.Helper()
	v, err := f.CreateVM(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return v, f.client(t, v)
}

// client waits for the VM's agent.
func (f *fixture) client(t *testing.T, v *vm.VM) *agent.Client {
	t.Helper()
	c, err := agent.New(v.Agent(), agent.Options{ReplyTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.WaitReady(ctx); err != nil {
		log, _ := exec.Command("tail", "-n", "20", fmt.Sprintf("/proc/%d/root/var/vcap/bosh/log/current", v.PID())).CombinedOutput()
		t.Fatalf("%v\n%s", err, log)
	}
	return c
}

// inside runs a command as root in the VM, with no more capabilities than the
// VM has: nsenter alone would keep the machine's.
func inside(t *testing.T, v *vm.VM, command string) (string, error) {
	t.Helper()
	enter := exec.CommandContext(t.Context(), "/proc/self/exe", "confined", fmt.Sprint(v.PID()), command)
	out, err := enter.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// confined gives up the capabilities that the process has not, and enters its namespaces.
func confined(pid, command string) error {
	runtime.LockOSThread()
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return err
	}
	_, after, found := strings.Cut(string(status), "CapBnd:\t")
	if !found {
		return errors.New("the process has no bounding set")
	}
	bounds, err := strconv.ParseUint(after[:16], 16, 64)
	if err != nil {
		return err
	}
	for c := range uintptr(unix.CAP_LAST_CAP + 1) {
		if bounds&(1<<c) != 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	environment := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return unix.Exec(nsenter, []string{"nsenter", "-t", pid, "-a", "--", "/bin/bash", "-c", command}, environment)
}

func mustInside(t *testing.T, v *vm.VM, command string) string {
	t.Helper()
	out, err := inside(t, v, command)
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	return out
}

// eventually polls until ok says so.
func eventually(t *testing.T, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, limit)
		case <-tick.C:
		}
	}
}
