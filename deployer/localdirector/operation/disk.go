package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// activeDisk returns the instance's persistent disk; CID "" when it has none.
func (d *Director) activeDisk(ctx context.Context, instanceID string) (db.Disk, error) {
	disks, err := d.db.Disks(ctx, instanceID)
	if err != nil || len(disks) == 0 || !disks[0].Active {
		return db.Disk{}, err
	}
	return disks[0], nil
}

// convergeDisks gives a stopped instance the persistent disk it should have.
// What an interrupted earlier attempt left is put in order first: the active
// disk has all data, as jobs do not run while a disk is replaced.
func (d *Director) convergeDisks(ctx context.Context, run *task.Run, row db.Instance, want *diskSpec, replace bool) error {
	client, err := d.agentOf(run, row)
	if err != nil {
		return err
	}
	if err := d.mountActiveDisk(ctx, run, row, client); err != nil {
		return err
	}
	is, err := d.activeDisk(ctx, row.ID)
	if err != nil {
		return err
	}
	if !diskDiffers(is, want) && (!replace || is.CID == "") {
		return nil
	}
	if want != nil {
		if err := d.replaceDisk(ctx, run, row, client, is, *want); err != nil {
			return err
		}
	}
	if is.CID == "" {
		return nil
	}
	if err := d.withdrawDisk(ctx, row, client, is.CID); err != nil {
		return err
	}
	run.CPILog().Info("orphaned disk", "cid", is.CID, "instance", row.Name())
	return d.db.OrphanDisk(ctx, is.CID, d.now())
}

// mountActiveDisk makes the agent's disks those of the rows: the active disk
// is mounted, and any other is removed.
func (d *Director) mountActiveDisk(ctx context.Context, run *task.Run, row db.Instance, client agentClient) error {
	rows, err := d.db.Disks(ctx, row.ID)
	if err != nil {
		return err
	}
	mounted, err := client.ListDisk(ctx)
	if err != nil {
		return err
	}
	for _, disk := range rows {
		if disk.Active {
			continue
		}
		run.Log().Warn("removing the disk of an interrupted update", "cid", disk.CID, "instance", row.Name())
		if err := d.discardDisk(ctx, row, client, disk.CID); err != nil {
			return err
		}
		mounted = slices.DeleteFunc(mounted, func(cid string) bool { return cid == disk.CID })
	}
	if len(rows) == 0 || !rows[0].Active || slices.Contains(mounted, rows[0].CID) {
		return nil
	}
	return d.attachAndMount(ctx, row, client, rows[0].CID)
}

// replaceDisk makes a new disk, copies what is on the old one, and makes the
// new one the active disk.
func (d *Director) replaceDisk(ctx context.Context, run *task.Run, row db.Instance, client agentClient, old db.Disk, want diskSpec) error {
	disk := db.Disk{CID: "disk-" + newGUID(), InstanceID: row.ID, SizeMiB: want.SizeMiB, CloudProperties: want.Properties}
	if err := d.db.PutDisk(ctx, disk); err != nil {
		return err
	}
	err := audited(ctx, run, partEvent("create", "disk", "", row), func(end *db.Event) error {
		end.ObjectName = disk.CID
		_, err := d.cloud.CreateDisk(ctx, disk.CID, disk.SizeMiB)
		return err
	})
	if err == nil {
		run.CPILog().Info("created disk", "cid", disk.CID, "size_mib", disk.SizeMiB, "instance", row.Name())
		err = d.attachAndMount(ctx, row, client, disk.CID)
	}
	if err == nil && old.CID != "" {
		err = client.MigrateDisk(ctx)
	}
	if err != nil {
		err = fmt.Errorf("give %s a disk of %d MiB: %w", row.Name(), want.SizeMiB, err)
		return errors.Join(err, d.discardDisk(context.WithoutCancel(ctx), row, client, disk.CID))
	}
	disk.Active = true
	return d.db.ReplaceActiveDisk(ctx, disk.CID, old.CID)
}

func (d *Director) attachAndMount(ctx context.Context, row db.Instance, client agentClient, cid string) error {
	hint, err := d.cloud.AttachDisk(ctx, row.VM.CID, cid)
	if err != nil {
		return fmt.Errorf("attach disk %s to %s: %w", cid, row.Name(), err)
	}
	if err := client.AddPersistentDisk(ctx, cid, hint); err != nil {
		return err
	}
	return client.MountDisk(ctx, cid)
}

// withdrawDisk unmounts a disk and takes it away from the VM.
func (d *Director) withdrawDisk(ctx context.Context, row db.Instance, client agentClient, cid string) error {
	if err := client.UnmountDisk(ctx, cid); err != nil {
		return err
	}
	if err := client.RemovePersistentDisk(ctx, cid); err != nil {
		return err
	}
	if err := d.cloud.DetachDisk(ctx, row.VM.CID, cid); err != nil {
		return fmt.Errorf("detach disk %s from %s: %w", cid, row.Name(), err)
	}
	return nil
}

// discardDisk withdraws and deletes a disk that holds nothing worth keeping.
func (d *Director) discardDisk(ctx context.Context, row db.Instance, client agentClient, cid string) error {
	if d.cloud.HasDisk(cid) {
		if err := d.withdrawDisk(ctx, row, client, cid); err != nil {
			return err
		}
		if err := d.cloud.DeleteDisk(ctx, cid); err != nil {
			return fmt.Errorf("delete disk %s of %s: %w", cid, row.Name(), err)
		}
	}
	return d.db.DeleteDisk(ctx, cid)
}

// unmountDisks withdraws all disks before the VM is deleted.
func (d *Director) unmountDisks(ctx context.Context, run *task.Run, row db.Instance) error {
	client, err := d.agentOf(run, row)
	if err != nil {
		return err
	}
	mounted, err := client.ListDisk(ctx)
	if err != nil {
		return err
	}
	for _, cid := range mounted {
		if err := d.withdrawDisk(ctx, row, client, cid); err != nil {
			return err
		}
	}
	return nil
}
