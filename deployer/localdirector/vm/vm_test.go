package vm_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

// startLimit is generous: the machine may be busy with other tests. Alone it is
// 0.15 s.
const startLimit = 5 * time.Second

func TestVMStartsAndItsAgentAnswers(t *testing.T) {
	f := newFixture(t)
	start := time.Now()
	v, c := f.create(t, f.spec(10))
	if took := time.Since(start); took > startLimit {
		t.Errorf("start → ping took %v", took)
	} else {
		t.Logf("start → ping %v", took.Round(time.Millisecond))
	}
	state, err := c.StateFull(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state.AgentID != "agent-10" || state.JobState != "running" || state.VM.Name != v.CID() {
		t.Errorf("state of a new VM: %+v", state)
	}
	if !f.Alive(v.CID()) || len(f.VMs()) != 1 {
		t.Errorf("the host does not know the VM: %v", f.VMs())
	}
	if got := fmt.Sprintf("%v %+v %#v", v.Agent(), v.Agent(), v.Agent()); strings.Contains(got, v.Agent().Password) {
		t.Error("printing the endpoint shows the password")
	}
	start = time.Now()
	if err := f.DeleteVM(t.Context(), v.CID()); err != nil {
		t.Fatal(err)
	}
	t.Logf("delete %v", time.Since(start).Round(time.Millisecond))
	if f.Alive(v.CID()) || len(f.VMs()) != 0 {
		t.Error("the VM is still known after DeleteVM")
	}
	if err := f.DeleteVM(t.Context(), v.CID()); err != nil {
		t.Errorf("deleting again: %v", err)
	}
	select {
	case cid := <-f.deaths:
		t.Errorf("a deleted VM was reported dead: %s", cid)
	default:
	}
}

func TestManyVMsInParallel(t *testing.T) {
	f := newFixture(t)
	const count = 8
	start := time.Now()
	var group sync.WaitGroup
	for n := range count {
		group.Go(func() {
			v, err := f.CreateVM(t.Context(), f.spec(10+n))
			if err != nil {
				t.Error(err)
				return
			}
			c, err := agent.New(v.Agent(), agent.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := c.WaitReady(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	t.Logf("%d VMs → ping %v", count, time.Since(start).Round(time.Millisecond))
	if t.Failed() {
		return
	}
	// VMs reach each other, and nothing else.
	first := f.VMs()[0]
	mustInside(t, first, "ping -c 1 -W 2 "+f.spec(11).Networks["default"].Address.Addr().String())
	mustInside(t, first, "ping -c 1 -W 2 "+f.gateway.String())
	if out, err := inside(t, first, "ping -c 1 -W 2 192.0.2.1"); err == nil {
		t.Errorf("a VM reached an address outside: %s", out)
	}
	start = time.Now()
	for _, v := range f.VMs() {
		group.Go(func() {
			if err := f.DeleteVM(t.Context(), v.CID()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	t.Logf("delete %d VMs %v", count, time.Since(start).Round(time.Millisecond))
}

func TestDeathIsSeenAtOnce(t *testing.T) {
	f := newFixture(t)
	v, _ := f.create(t, f.spec(10))
	kill(t, v)
	start := time.Now()
	select {
	case <-v.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the death was not seen")
	}
	select {
	case cid := <-f.deaths:
		if cid != v.CID() {
			t.Errorf("death of %s was reported, not of %s", cid, v.CID())
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the death was not reported")
	}
	t.Logf("death seen after %v", time.Since(start).Round(time.Microsecond))
	if v.Alive() || f.Alive(v.CID()) {
		t.Error("a dead VM is called alive")
	}
	if err := f.DeleteVM(t.Context(), v.CID()); err != nil {
		t.Errorf("deleting a dead VM: %v", err)
	}
}

func TestFrozenVMIsDeleted(t *testing.T) {
	f := newFixture(t)
	v, c := f.create(t, f.spec(10))
	control, state := filepath.Join(v.Cgroups()["freezer"], "freezer.state"), "FROZEN"
	if folder, v2 := v.Cgroups()[""]; v2 {
		control, state = filepath.Join(folder, "cgroup.freeze"), "1"
	}
	if err := os.WriteFile(control, []byte(state), 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := c.Ping(ctx); err == nil {
		t.Error("a frozen VM's agent answered")
	}
	if !v.Alive() {
		t.Error("a frozen VM is called dead")
	}
	if err := f.DeleteVM(t.Context(), v.CID()); err != nil {
		t.Error(err)
	}
}

// kill ends a VM as a crash would.
func kill(t *testing.T, v *vm.VM) {
	t.Helper()
	process, err := os.FindProcess(v.PID())
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
}

func TestInitThatCannotStartIsReportedAndCleanedUp(t *testing.T) {
	f := newFixture(t)
	before := traces(t, f.Stack(), f.dir)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	broken := openFixtureWith(t, f.dir, "failing-init")
	disk, err := broken.CreateDisk(t.Context(), "", 16)
	if err != nil {
		t.Fatal(err)
	}
	spec := f.spec(10)
	spec.DiskCIDs = []string{disk}
	_, err = broken.CreateVM(t.Context(), spec)
	if err == nil || !strings.Contains(err.Error(), "there is no root today") {
		t.Errorf("got error %v, want init's own words", err)
	}
	if after := traces(t, f.Stack(), f.dir); len(after) != len(before) {
		t.Errorf("a failed VM left something:\nbefore %q\nafter  %q", before, after)
	}
	if len(broken.VMs()) != 0 {
		t.Error("a failed VM is still known")
	}
	if err := broken.DeleteDisk(t.Context(), disk); err != nil {
		t.Errorf("the disk of a failed VM is not free: %v", err)
	}
}

func TestCancelledCreationLeavesNothing(t *testing.T) {
	f := newFixture(t)
	before := traces(t, f.Stack(), f.dir)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	stalling := openFixtureWith(t, f.dir, "stalling-init")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := stalling.CreateVM(ctx, f.spec(10)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want the context's", err)
	}
	if after := traces(t, f.Stack(), f.dir); len(after) != len(before) {
		t.Errorf("a cancelled VM left something:\nbefore %q\nafter  %q", before, after)
	}
}

func TestFaultySpecsAreRefused(t *testing.T) {
	f := newFixture(t)
	first, err := f.CreateVM(t.Context(), f.spec(10))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*vm.VMSpec)
		is     error
		text   string
	}{
		"cid exists":       {func(s *vm.VMSpec) { s.CID = first.CID() }, vm.ErrExists, ""},
		"cid is a path":    {func(s *vm.VMSpec) { s.CID = "../x" }, nil, `"../x"`},
		"unknown stemcell": {func(s *vm.VMSpec) { s.StemcellCID = "stemcell-0" }, vm.ErrNotFound, "stemcell-0"},
		"unknown disk":     {func(s *vm.VMSpec) { s.DiskCIDs = []string{"disk-0"} }, vm.ErrNotFound, "disk-0"},
		"address in use":   {func(s *vm.VMSpec) { s.Networks = f.spec(10).Networks }, vm.ErrInUse, first.CID()},
		"no network":       {func(s *vm.VMSpec) { s.Networks = nil }, nil, "no network"},
		"other subnet": {func(s *vm.VMSpec) {
			s.Networks = map[string]vm.Network{"x": {Address: netip.MustParsePrefix("10.1.1.1/24")}}
		}, nil, "network x"},
		"too little memory": {func(s *vm.VMSpec) { s.MemoryMiB = 4 }, nil, "4 MiB"},
		"agent id":          {func(s *vm.VMSpec) { s.AgentID = "a b" }, nil, `"a b"`},
	} {
		t.Run(name, func(t *testing.T) {
			spec := f.spec(11)
			c.change(&spec)
			_, err := f.CreateVM(t.Context(), spec)
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got error %v, want %v with %q", err, c.is, c.text)
			}
		})
	}
	if len(f.VMs()) != 1 {
		t.Errorf("there are %d VMs, want 1", len(f.VMs()))
	}
	if err := f.DeleteStemcell(t.Context(), f.stemcell); !errors.Is(err, vm.ErrInUse) {
		t.Errorf("deleting a used stemcell: got %v, want ErrInUse", err)
	}
	if err := f.EnsureSubnet(t.Context(), netip.MustParsePrefix("10.1.1.1/24")); err == nil {
		t.Error("a subnet outside the stack's was accepted")
	}
}
