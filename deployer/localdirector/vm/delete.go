package vm

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// DeleteVM ends all of a VM's processes and removes everything of it but its
// persistent disks, which are detached. An unknown CID is no error: repeating
// is harmless.
func (h *Host) DeleteVM(ctx context.Context, cid string) error {
	release, err := h.names.acquire(ctx, "vm "+cid)
	if err != nil {
		return err
	}
	defer release()
	h.mu.Lock()
	v := h.vms[cid]
	h.mu.Unlock()
	if v == nil {
		return nil
	}
	return h.discard(ctx, v)
}

// discard removes a VM, wherever its creation or deletion stopped, and gives
// its disks and addresses free.
func (h *Host) discard(ctx context.Context, v *VM) error {
	v.doom()
	r := v.look()
	if err := h.demolish(ctx, h.vmDir(r.CID), r); err != nil {
		return fmt.Errorf("delete VM %s: %w", r.CID, err)
	}
	v.ended()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.vms, r.CID)
	for disk := range r.Disks {
		delete(h.owners, disk)
	}
	return nil
}

// demolish removes what a record speaks of. The record goes last: until then
// it can be repeated.
func (h *Host) demolish(ctx context.Context, dir vmDir, r record) error {
	disks := make([]string, 0, len(r.Disks))
	for _, cid := range slices.Sorted(maps.Keys(r.Disks)) {
		disks = append(disks, h.diskFile(cid))
	}
	return demolish(ctx, h.stack, dir, r, disks)
}

func demolish(ctx context.Context, stack Stack, dir vmDir, r record, disks []string) error {
	for _, folder := range r.Cgroups {
		thaw(folder) // what is frozen does not die
	}
	if err := r.Init.kill(ctx); err != nil {
		return err
	}
	if err := removeCgroups(ctx, r.Cgroups); err != nil {
		return err
	}
	if r.Link != "" {
		if err := unplug(stack.Bridge, r.Link, r.addresses()); err != nil {
			return err
		}
	}
	for _, file := range disks {
		if err := detachLoops(ctx, file); err != nil {
			return err
		}
	}
	return removeDir(dir)
}

// removeDir removes a VM's folder, its record last.
func removeDir(dir vmDir) error {
	entries, err := os.ReadDir(string(dir))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == recordFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(string(dir), e.Name())); err != nil {
			return err
		}
	}
	return os.RemoveAll(string(dir))
}
