package vm_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

func TestTwoStacksSideBySide(t *testing.T) {
	a, b := newFixture(t), newFixture(t)
	if a.Stack().Name == b.Stack().Name || a.Stack().Subnet.Overlaps(b.Stack().Subnet) {
		t.Fatalf("the stacks collide: %+v %+v", a.Stack(), b.Stack())
	}
	va, _ := a.create(t, a.spec(10))
	vb, cb := b.create(t, b.spec(10))
	if out, err := inside(t, va, "ping -c 1 -W 1 "+b.spec(10).Networks["default"].Address.Addr().String()); err == nil {
		t.Errorf("a VM reaches another stack's: %s", out)
	}
	if err := vm.Destroy(t.Context(), a.dir, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if found := traces(t, a.Stack(), a.dir); len(found) > 0 {
		t.Errorf("left after Destroy: %q", found)
	}
	if !vb.Alive() {
		t.Fatal("destroying one stack killed another's VM")
	}
	if err := cb.Ping(t.Context()); err != nil {
		t.Errorf("destroying one stack cut off another's VM: %v", err)
	}
	// The host is still open here, but its stack is not to come back.
	if _, err := a.CreateVM(t.Context(), a.spec(11)); !errors.Is(err, vm.ErrNoStack) {
		t.Errorf("creating a VM in a destroyed stack: got %v, want ErrNoStack", err)
	}
}

func TestDestroyLeavesNothing(t *testing.T) {
	f := newFixture(t)
	stack := f.Stack()
	disk, err := f.CreateDisk(t.Context(), "", 16)
	if err != nil {
		t.Fatal(err)
	}
	spec := f.spec(10)
	spec.DiskCIDs = []string{disk}
	v, c := f.create(t, spec)
	if err := c.MountDisk(t.Context(), disk); err != nil {
		t.Fatal(err)
	}
	deploy(t, c, upload(t, c, "sleeper", sleeper))
	found := traces(t, stack, f.dir)
	for _, kind := range []string{"link", "route", "cgroup", "/sys/block", "process", "registration", "files"} {
		if !hasTrace(found, kind) {
			t.Errorf("a running stack shows no %s: the test looks in the wrong place: %q", kind, found)
		}
	}
	if again, limits, err := vm.Inspect(f.dir); err != nil || again != stack || limits != f.Limits() {
		t.Errorf("inspect: %v %v %v", again, limits, err)
	}
	for range 2 {
		if err := vm.Destroy(t.Context(), f.dir, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if found := traces(t, stack, f.dir); len(found) > 0 {
			t.Errorf("left after Destroy: %q", found)
		}
	}
	if v.Alive() {
		t.Error("the VM is still alive")
	}
	if _, _, err := vm.Inspect(f.dir); !errors.Is(err, vm.ErrNotFound) {
		t.Errorf("inspect after Destroy: got %v, want ErrNotFound", err)
	}
}

func TestOnlyOneHostPerFolder(t *testing.T) {
	f := newFixture(t)
	_, err := vm.Open(t.Context(), vm.Config{Dir: f.dir, Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, vm.ErrInUse) {
		t.Errorf("opening a folder twice: got %v, want ErrInUse", err)
	}
}

func TestDestroyOfNothingIsHarmless(t *testing.T) {
	for _, dir := range []string{t.TempDir(), t.TempDir() + "/missing"} {
		if err := vm.Destroy(context.Background(), dir, slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	}
}

func TestStemcellIsImportedOnce(t *testing.T) {
	f := newFixture(t)
	s, err := stemcell()
	if err != nil {
		t.Fatal(err)
	}
	cid, err := f.ImportStemcell(t.Context(), s.image)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.ImportStemcell(t.Context(), s.image); err != nil || again != cid {
		t.Errorf("importing again: %s, %v, want %s", again, err, cid)
	}
	spec := f.spec(10)
	spec.StemcellCID = cid
	v, _ := f.create(t, spec)
	if err := f.DeleteStemcell(t.Context(), cid); !errors.Is(err, vm.ErrInUse) {
		t.Errorf("deleting a used stemcell: got %v, want ErrInUse", err)
	}
	if err := f.DeleteVM(t.Context(), v.CID()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.DeleteStemcell(t.Context(), cid); err != nil {
			t.Error(err)
		}
	}
	notOne := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(notOne, jobArchive(t, "x", map[string]string{"y": "z"}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ImportStemcell(t.Context(), notOne); err == nil {
		t.Error("an archive that is no stemcell was imported")
	}
	left, err := os.ReadDir(filepath.Join(f.dir, "stemcells"))
	if err != nil || len(left) != 1 { // the tests' shared one
		t.Errorf("left of the stemcells: %v, %v", left, err)
	}
}
