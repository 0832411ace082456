package vm_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

// directorToBeKilled creates a VM with a disk, says so and waits for its end.
// With an init that stalls, it waits for that in the middle of the creation.
func directorToBeKilled(dir, stemcell, init string) error {
	ctx := context.Background()
	host, err := vm.Open(ctx, vm.Config{Dir: dir, Log: slog.New(slog.DiscardHandler), InitCommand: []string{"/proc/self/exe", init}})
	if err != nil {
		return err
	}
	f := &fixture{Host: host, dir: dir, stemcell: stemcell, gateway: host.Stack().Subnet.Addr().Next()}
	if err := f.EnsureSubnet(ctx, netip.PrefixFrom(f.gateway, 24)); err != nil {
		return err
	}
	disk, err := f.CreateDisk(ctx, "", 16)
	if err != nil {
		return err
	}
	spec := f.spec(10)
	spec.CID, spec.DiskCIDs = "vm-orphan", []string{disk}
	if init != "vm-init" {
		fmt.Println("creating", disk)
	}
	v, err := f.CreateVM(ctx, spec)
	if err != nil {
		return err
	}
	c, err := agent.New(v.Agent(), agent.Options{})
	if err != nil {
		return err
	}
	if err := c.WaitReady(ctx); err != nil {
		return err
	}
	if err := c.MountDisk(ctx, disk); err != nil {
		return err
	}
	fmt.Println(v.PID(), disk)
	select {}
}

// runAndKillDirector returns what it said before it was killed.
func runAndKillDirector(t *testing.T, f *fixture, init string, ready func() bool) string {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	director := exec.CommandContext(t.Context(), "/proc/self/exe", "director-to-be-killed", f.dir, f.stemcell, init)
	director.Stderr = os.Stderr
	out, err := director.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := director.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the director said nothing: %v", err)
	}
	eventually(t, "the director's work", 10*time.Second, ready)
	if err := director.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = director.Wait()
	return strings.TrimSpace(said)
}

func TestVMsOutliveTheDirector(t *testing.T) {
	f := newFixture(t)
	said := runAndKillDirector(t, f, "vm-init", func() bool { return true })
	pid, disk, _ := strings.Cut(said, " ")

	again := openFixture(t, f.dir)
	if again.Stack() != f.Stack() {
		t.Errorf("the stack changed: %+v, was %+v", again.Stack(), f.Stack())
	}
	v, ok := again.VM("vm-orphan")
	if !ok || !v.Alive() || fmt.Sprint(v.PID()) != pid {
		t.Fatalf("the VM was not adopted: %v", again.VMs())
	}
	if got := v.Disks(); len(got) != 1 || got[0] != disk {
		t.Errorf("the VM's disks: %v, want %s", got, disk)
	}
	c := again.client(t, v)
	if disks, err := c.ListDisk(t.Context()); err != nil || len(disks) != 1 {
		t.Errorf("list_disk: %v, %v", disks, err)
	}
	kill(t, v)
	start := time.Now()
	select {
	case cid := <-again.deaths:
		t.Logf("death of %s seen after %v", cid, time.Since(start).Round(time.Microsecond))
	case <-time.After(5 * time.Second):
		t.Fatal("the death of an adopted VM was not reported")
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}

	// A VM that died meanwhile is reported too.
	third := openFixture(t, f.dir)
	select {
	case <-third.deaths:
	case <-time.After(5 * time.Second):
		t.Fatal("a VM that was found dead was not reported")
	}
	if third.Alive("vm-orphan") {
		t.Error("a dead VM is called alive")
	}
	spec := f.spec(10)
	spec.DiskCIDs = []string{disk}
	if err := third.DeleteVM(t.Context(), "vm-orphan"); err != nil {
		t.Fatal(err)
	}
	third.create(t, spec)
}

func TestUnfinishedVMsAreRemoved(t *testing.T) {
	f := newFixture(t)
	said := runAndKillDirector(t, f, "stalling-init", func() bool { return hasTrace(traces(t, f.Stack(), f.dir), "link "+f.Stack().Name+"v") })
	_, disk, _ := strings.Cut(said, " ")
	again := openFixture(t, f.dir)
	if len(again.VMs()) != 0 {
		t.Errorf("an unfinished VM was adopted: %v", again.VMs())
	}
	found := traces(t, f.Stack(), f.dir)
	for _, kind := range []string{"link " + f.Stack().Name + "v", "/sys/block", "process"} {
		if hasTrace(found, kind) {
			t.Errorf("left of an unfinished VM: %q", found)
		}
	}
	if err := again.DeleteDisk(t.Context(), disk); err != nil {
		t.Errorf("its disk is not free: %v", err)
	}
}

func TestDestroyAfterACrash(t *testing.T) {
	f := newFixture(t)
	runAndKillDirector(t, f, "vm-init", func() bool { return true })
	if err := vm.Destroy(t.Context(), f.dir, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if found := traces(t, f.Stack(), f.dir); len(found) > 0 {
		t.Errorf("left after Destroy: %q", found)
	}
}
