package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// DiskHint is where the agent finds an attached disk.
type DiskHint struct {
	Path string `json:"path"`
}

// CreateDisk makes a persistent disk of exactly sizeMiB with an empty ext4. The
// space is taken from this machine as the disk fills. An empty CID is chosen
// here; one that exists is ErrExists.
func (h *Host) CreateDisk(ctx context.Context, cid string, sizeMiB int) (string, error) {
	if cid == "" {
		cid = "disk-" + newID()
	}
	if !validCID.MatchString(cid) {
		return "", fmt.Errorf("create disk: %q cannot be a CID", cid)
	}
	if err := h.createDisk(ctx, h.diskFile(cid), sizeMiB); err != nil {
		return "", fmt.Errorf("create disk %s of %d MiB: %w", cid, sizeMiB, err)
	}
	return cid, nil
}

// createDisk makes the file under another name first: a disk that is there is whole.
func (h *Host) createDisk(ctx context.Context, file string, sizeMiB int) error {
	if sizeMiB < 1 {
		return errors.New("that is too small")
	}
	if stackIsGone(h.config.Dir) {
		return ErrNoStack
	}
	f, err := os.CreateTemp(filepath.Dir(file), partialDisk)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := errors.Join(f.Truncate(int64(sizeMiB)<<20), f.Close()); err != nil {
		return err
	}
	mkfs := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", f.Name())
	if out, err := mkfs.CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4 (package e2fsprogs): %w: %s", err, strings.TrimSpace(string(out)))
	}
	err = os.Link(f.Name(), file)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	return err
}

// partialDisk is the pattern of a disk's file while it is made; no CID begins so.
const partialDisk = ".partial-*"

// Disks returns the CIDs of all disks on this host, attached or not, in order.
func (h *Host) Disks() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(h.config.Dir, "disks"))
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	var cids []string
	for _, e := range entries {
		if validCID.MatchString(e.Name()) {
			cids = append(cids, e.Name())
		}
	}
	return cids, nil
}

// DeleteDisk removes a disk and its content. An attached disk is ErrInUse; an
// unknown one is no error: repeating is harmless.
func (h *Host) DeleteDisk(ctx context.Context, cid string) error {
	if !h.HasDisk(cid) {
		return nil
	}
	// Nobody can attach it from here on.
	if err := h.own(cid, "(which deletes it)"); err != nil {
		return fmt.Errorf("delete disk %s: %w", cid, err)
	}
	defer h.disown(cid)
	if err := detachLoops(ctx, h.diskFile(cid)); err != nil {
		return fmt.Errorf("delete disk %s: %w", cid, err)
	}
	if err := os.Remove(h.diskFile(cid)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete disk %s: %w", cid, err)
	}
	return nil
}

// HasDisk tells whether there is such a disk.
func (h *Host) HasDisk(cid string) bool {
	if !validCID.MatchString(cid) {
		return false
	}
	_, err := os.Stat(h.diskFile(cid))
	return err == nil
}

// AttachDisk makes a disk a device in a running VM and returns the hint that
// agent.Client.AddPersistentDisk takes. Repeating returns the same. A disk that
// another VM has is ErrInUse, unknown ones are ErrNotFound.
func (h *Host) AttachDisk(ctx context.Context, vmCID, diskCID string) (DiskHint, error) {
	release, err := h.names.acquire(ctx, "vm "+vmCID)
	if err != nil {
		return DiskHint{}, err
	}
	defer release()
	v, ok := h.VM(vmCID)
	if !ok || !h.HasDisk(diskCID) {
		return DiskHint{}, fmt.Errorf("attach disk %s to VM %s: %w", diskCID, vmCID, ErrNotFound)
	}
	if name := v.look().Disks[diskCID]; name != "" {
		return DiskHint{guestDevice(name)}, nil
	}
	hint, err := h.attach(ctx, v, diskCID)
	if err != nil {
		return DiskHint{}, fmt.Errorf("attach disk %s to VM %s: %w", diskCID, vmCID, err)
	}
	return hint, nil
}

func (h *Host) attach(ctx context.Context, v *VM, diskCID string) (_ DiskHint, err error) {
	r := v.look()
	if err := h.own(diskCID, r.CID); err != nil {
		return DiskHint{}, err
	}
	name, err := r.freeDevice()
	defer func() {
		if err != nil {
			h.disown(diskCID)
		}
	}()
	if err != nil {
		return DiskHint{}, err
	}
	if !v.Alive() {
		return DiskHint{}, errors.New("the VM does not run")
	}
	device, err := attachLoop(ctx, h.diskFile(diskCID))
	if err != nil {
		return DiskHint{}, err
	}
	if err := makeNode(guestPath(r.Init.PID, guestDevice(name)), device.Major, device.Minor); err != nil {
		return DiskHint{}, errors.Join(err, detachLoops(ctx, h.diskFile(diskCID)))
	}
	return DiskHint{guestDevice(name)}, h.saveDisks(v, func(disks map[string]string) { disks[diskCID] = name })
}

// DetachDisk takes a disk away from a VM. One that is mounted there is
// ErrInUse: unmount it through the agent first. A disk that is not attached, or
// a VM that does not exist, is no error.
func (h *Host) DetachDisk(ctx context.Context, vmCID, diskCID string) error {
	release, err := h.names.acquire(ctx, "vm "+vmCID)
	if err != nil {
		return err
	}
	defer release()
	v, ok := h.VM(vmCID)
	if !ok {
		return nil
	}
	r := v.look()
	name := r.Disks[diskCID]
	if name == "" {
		return nil
	}
	if err := h.detach(ctx, v, diskCID, guestDevice(name)); err != nil {
		return fmt.Errorf("detach disk %s from VM %s: %w", diskCID, vmCID, err)
	}
	h.disown(diskCID)
	return nil
}

func (h *Host) detach(ctx context.Context, v *VM, diskCID, device string) error {
	if v.Alive() {
		pid := v.PID()
		mounted, err := mountedIn(pid, device)
		if err != nil {
			return err
		}
		if mounted {
			return fmt.Errorf("it is mounted: %w", ErrInUse)
		}
		if err := os.Remove(guestPath(pid, device)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := detachLoops(ctx, h.diskFile(diskCID)); err != nil {
		return err
	}
	return h.saveDisks(v, func(disks map[string]string) { delete(disks, diskCID) })
}

// saveDisks changes which disks a VM has, in its record and in its agent's settings.
func (h *Host) saveDisks(v *VM, change func(disks map[string]string)) error {
	r := v.update(func(r *record) { change(r.Disks) })
	dir := h.vmDir(r.CID)
	return errors.Join(dir.save(&r), dir.saveSettings(&r))
}

func (h *Host) own(diskCID, vmCID string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if owner := h.owners[diskCID]; owner != "" {
		return fmt.Errorf("VM %s has it: %w", owner, ErrInUse)
	}
	h.owners[diskCID] = vmCID
	return nil
}

func (h *Host) disown(diskCID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.owners, diskCID)
}

func (h *Host) diskFile(cid string) string { return filepath.Join(h.config.Dir, "disks", cid) }

// guestPath is a path of a VM as this machine sees it.
func guestPath(pid int, path string) string { return fmt.Sprintf("/proc/%d/root%s", pid, path) }

func makeNode(path string, major, minor uint32) error {
	if err := unix.Mknod(path, unix.S_IFBLK|0o660, int(unix.Mkdev(major, minor))); err != nil {
		return fmt.Errorf("make the device's node: %w", err)
	}
	return nil
}

// mountedIn tells whether a VM has mounted one of its devices.
func mountedIn(pid int, device string) (bool, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return false, err
	}
	var stat unix.Stat_t
	if err := unix.Stat(guestPath(pid, device), &stat); errors.Is(err, unix.ENOENT) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	number := fmt.Sprintf("%d:%d", unix.Major(stat.Rdev), unix.Minor(stat.Rdev))
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == number {
			return true, nil
		}
	}
	return false, nil
}
