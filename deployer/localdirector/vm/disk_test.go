package vm_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

func TestDiskSurvivesItsVM(t *testing.T) {
	f := newFixture(t)
	disk, err := f.CreateDisk(t.Context(), "", 64)
	if err != nil {
		t.Fatal(err)
	}
	v, c := f.create(t, f.spec(10))
	hint, err := f.AttachDisk(t.Context(), v.CID(), disk)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.AttachDisk(t.Context(), v.CID(), disk); err != nil || again != hint {
		t.Errorf("attaching again: %v, %v, want %v", again, err, hint)
	}
	if err := c.AddPersistentDisk(t.Context(), disk, hint); err != nil {
		t.Fatal(err)
	}
	if err := c.MountDisk(t.Context(), disk); err != nil {
		t.Fatal(err)
	}
	spec := upload(t, c, "sleeper", sleeper)
	deploy(t, c, spec)
	mustInside(t, v, "echo precious >/var/vcap/store/file && sync -f /var/vcap/store")

	start := time.Now()
	kill(t, v)
	<-v.Done()
	if err := f.DeleteVM(t.Context(), v.CID()); err != nil {
		t.Fatal(err)
	}
	again := f.spec(10)
	again.DiskCIDs = []string{disk}
	v, c = f.create(t, again)
	if err := c.MountDisk(t.Context(), disk); err != nil {
		t.Fatal(err)
	}
	deploy(t, c, upload(t, c, "sleeper", sleeper))
	took := time.Since(start)
	t.Logf("kill → job running again with its disk %v", took.Round(time.Millisecond))
	if took > 5*time.Second {
		t.Errorf("recreation took %v, want at most 5 s", took)
	}
	if got := mustInside(t, v, "cat /var/vcap/store/file"); got != "precious" {
		t.Errorf("the disk's file says %q", got)
	}
	if disks, err := c.ListDisk(t.Context()); err != nil || len(disks) != 1 || disks[0] != disk {
		t.Errorf("list_disk: %v, %v", disks, err)
	}
	detachAndDelete(t, f, v, disk, func() {
		if err := c.UnmountDisk(t.Context(), disk); err != nil {
			t.Fatal(err)
		}
	})
}

// detachAndDelete walks the end of a disk's life and what is refused on the way.
func detachAndDelete(t *testing.T, f *fixture, v *vm.VM, disk string, unmount func()) {
	t.Helper()
	if err := f.DeleteDisk(t.Context(), disk); !errors.Is(err, vm.ErrInUse) {
		t.Errorf("deleting an attached disk: got %v, want ErrInUse", err)
	}
	if err := f.DetachDisk(t.Context(), v.CID(), disk); !errors.Is(err, vm.ErrInUse) {
		t.Errorf("detaching a mounted disk: got %v, want ErrInUse", err)
	}
	other, err := f.CreateVM(t.Context(), f.spec(11))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.AttachDisk(t.Context(), other.CID(), disk); !errors.Is(err, vm.ErrInUse) {
		t.Errorf("attaching another VM's disk: got %v, want ErrInUse", err)
	}
	unmount()
	for range 2 {
		if err := f.DetachDisk(t.Context(), v.CID(), disk); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := f.DeleteDisk(t.Context(), disk); err != nil {
			t.Fatal(err)
		}
	}
	if f.HasDisk(disk) {
		t.Error("a deleted disk is still there")
	}
}

func TestFullDiskIsAFullDisk(t *testing.T) {
	f := newFixture(t)
	const size = 48
	disk, err := f.CreateDisk(t.Context(), "disk-chosen", size)
	if err != nil || disk != "disk-chosen" {
		t.Fatal(disk, err)
	}
	if _, err := f.CreateDisk(t.Context(), disk, size); !errors.Is(err, vm.ErrExists) {
		t.Errorf("creating it again: got %v, want ErrExists", err)
	}
	if _, err := f.CreateDisk(t.Context(), "", 0); err == nil {
		t.Error("a disk of 0 MiB was made")
	}
	if disks, err := f.Disks(); err != nil || len(disks) != 1 {
		t.Errorf("disks: %v, %v", disks, err)
	}
	spec := f.spec(10)
	spec.DiskCIDs = []string{disk}
	v, c := f.create(t, spec)
	if err := c.MountDisk(t.Context(), disk); err != nil {
		t.Fatal(err)
	}
	bytes, err := strconv.Atoi(mustInside(t, v, "blockdev --getsize64 $(findmnt -no SOURCE /var/vcap/store)"))
	if err != nil || bytes != size<<20 {
		t.Errorf("the device has %d bytes, want exactly %d (%v)", bytes, size<<20, err)
	}
	out, err := inside(t, v, "dd if=/dev/zero of=/var/vcap/store/big bs=1M count=100")
	if err == nil || !strings.Contains(out, "No space left on device") {
		t.Errorf("100 MiB went onto a disk of %d: %v %s", size, err, out)
	}
	mustInside(t, v, "rm /var/vcap/store/big && echo fits >/var/vcap/store/small")
}
