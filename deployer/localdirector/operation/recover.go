package operation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
)

// recoverAgentTimeout is how long Recover waits for an agent to let go of a disk.
const recoverAgentTimeout = 5 * time.Second

// Recover puts in order what a killed director left: it removes compilation
// VMs, disks that were never finished, and templates nobody refers to. VMs that
// are recorded but do not run are left to resurrection and the next deploy.
// What cannot be put in order now is logged and left to the next deploy. Call
// it before tasks run.
func (d *Director) Recover(ctx context.Context) error {
	if err := errors.Join(os.RemoveAll(d.tmp), os.MkdirAll(d.tmp, 0o700)); err != nil {
		return fmt.Errorf("empty the folder for temporary files: %w", err)
	}
	rows, err := d.db.AllInstances(ctx)
	if err != nil {
		return err
	}
	digests := map[string]string{}
	vms := map[string]bool{}
	for _, row := range rows {
		digests[d.archives.path(row.ID, currentDigest(row))] = row.ID
		if row.VM != nil {
			vms[row.VM.CID] = true
		}
	}
	if err := d.archives.sweep(func(_, path string) bool { return digests[path] != "" }); err != nil {
		return err
	}
	if err := d.recoverVMs(ctx, vms); err != nil {
		return err
	}
	return d.recoverDisks(ctx, rows)
}

func (d *Director) recoverVMs(ctx context.Context, known map[string]bool) error {
	for _, cid := range d.cloud.CIDs() {
		switch {
		case known[cid]:
		case strings.HasPrefix(cid, compilationPrefix):
			if err := d.cloud.DeleteVM(ctx, cid); err != nil {
				return fmt.Errorf("remove compilation VM %s of an interrupted task: %w", cid, err)
			}
			d.log.Info("removed a compilation VM of an interrupted task", "cid", cid)
		default:
			// A row is written before its VM is made and outlives it, so this
			// database is not the one the VM was made with.
			d.log.Error("a VM belongs to no instance; it is left alone", "cid", cid)
		}
	}
	return nil
}

// recoverDisks removes disks that were recorded but did not become the active
// disk of their instance.
func (d *Director) recoverDisks(ctx context.Context, rows []db.Instance) error {
	byID := map[string]db.Instance{}
	for _, row := range rows {
		byID[row.ID] = row
	}
	disks, err := d.db.AllDisks(ctx)
	if err != nil {
		return err
	}
	for _, disk := range disks {
		if disk.Active {
			continue
		}
		if err := d.recoverDisk(ctx, byID[disk.InstanceID], disk); err != nil {
			d.log.Warn("a disk of an interrupted update is left to the next deploy", "cid", disk.CID, "error", err)
			continue
		}
		d.log.Info("removed a disk of an interrupted update", "cid", disk.CID)
	}
	return nil
}

func (d *Director) recoverDisk(ctx context.Context, row db.Instance, disk db.Disk) error {
	ctx, stop := context.WithTimeout(ctx, recoverAgentTimeout)
	defer stop()
	if row.VM != nil && d.cloud.Alive(row.VM.CID) {
		client, err := d.agentOfVM(row.VM.CID, d.log)
		if err != nil {
			return err
		}
		return d.discardDisk(ctx, row, client, disk.CID)
	}
	if err := d.cloud.DeleteDisk(ctx, disk.CID); err != nil {
		return fmt.Errorf("delete disk %s: %w", disk.CID, err)
	}
	return d.db.DeleteDisk(ctx, disk.CID)
}
