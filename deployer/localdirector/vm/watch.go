package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// adopt takes over what an earlier process left: VMs that run are watched,
// VMs that died are kept for whoever wants to recreate them, VMs that were
// never finished are removed.
func (h *Host) adopt(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(h.config.Dir, "vms"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := h.vmDir(e.Name())
		var r record
		err := readJSON(dir.path(recordFile), &r)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("adopt VM %s: %w", e.Name(), err)
		}
		if err != nil || !r.Ready {
			h.config.Log.WarnContext(ctx, "remove unfinished vm", "vm", e.Name())
			if err := h.demolish(ctx, dir, r); err != nil {
				return fmt.Errorf("remove unfinished VM %s: %w", e.Name(), err)
			}
			continue
		}
		v := newVM(r)
		h.vms[r.CID] = v
		for disk := range r.Disks {
			h.owners[disk] = r.CID
		}
		h.work.Go(func() { h.watch(v) })
	}
	return h.detachOrphans(ctx)
}

// detachOrphans frees devices that no VM has, of disks that were being
// attached, and removes disks and stemcells that were being made.
func (h *Host) detachOrphans(ctx context.Context) error {
	disks, err := h.Disks()
	if err != nil {
		return err
	}
	for _, cid := range disks {
		if h.owners[cid] == "" {
			if err := detachLoops(ctx, h.diskFile(cid)); err != nil {
				return err
			}
		}
	}
	for _, pattern := range []string{"disks/" + partialDisk, "stemcells/" + partialStemcell} {
		partial, err := filepath.Glob(filepath.Join(h.config.Dir, pattern))
		if err != nil {
			return err
		}
		for _, p := range partial {
			if err := os.RemoveAll(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// watch waits for the death of a VM that another process started.
func (h *Host) watch(v *VM) {
	err := v.look().Init.wait(h.running)
	if h.running.Err() != nil {
		return
	}
	if err != nil {
		h.config.Log.ErrorContext(h.running, "watch vm", "vm", v.CID(), "error", err)
	}
	h.died(v)
}

// reap waits for the death of a VM that is our child.
func (h *Host) reap(v *VM, command *exec.Cmd) {
	_ = command.Wait() // how it ended does not matter: it was not to end
	h.died(v)
}

func (h *Host) died(v *VM) {
	news := v.ended()
	if !news || h.running.Err() != nil {
		return
	}
	h.config.Log.WarnContext(h.running, "vm died", "vm", v.CID())
	if h.config.OnDeath != nil {
		go h.config.OnDeath(v.CID()) // it may take its time, Close does not wait for it
	}
}
