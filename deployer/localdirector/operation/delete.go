package operation

import (
	"context"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// Delete removes a deployment with its instances, VMs, disks, addresses and
// variables. Repeating it after a fault goes on. Faults: 70000, 190021, and
// without force what agents and scripts have to say.
func (d *Director) Delete(ctx context.Context, run *task.Run, r DeleteRequest) (string, error) {
	e := db.Event{Action: "delete", ObjectType: "deployment", ObjectName: r.Deployment, Deployment: r.Deployment}
	err := audited(ctx, run, e, func(*db.Event) error {
		_, err := locked(ctx, run, r.Deployment, func() (string, error) { return "", d.deleteDeployment(ctx, run, r) })
		return err
	})
	return "/deployments/" + r.Deployment, err
}

func (d *Director) deleteDeployment(ctx context.Context, run *task.Run, r DeleteRequest) error {
	dep, err := d.db.Deployment(ctx, r.Deployment)
	if err != nil {
		return deploymentNotFound(r.Deployment, err)
	}
	instances, err := d.observeDeployment(ctx, r.Deployment)
	if err != nil {
		return err
	}
	for _, o := range instances {
		if o.row.Ignore {
			return task.Errorf(codeIgnoredInstancesDeleted, "You are trying to delete deployment '%s', which "+
				"contains ignored instance(s). Operation not allowed.", r.Deployment)
		}
	}
	stage := run.Stage("Deleting instances", len(instances))
	deletion := deletion{d: d, run: run, force: r.Force, intent: deleteDeployment}
	if err := inParallel(ctx, d.config.MaxThreads, instances, func(ctx context.Context, o *observed) error {
		return deletion.perform(ctx, stage, o)
	}); err != nil {
		return err
	}
	if err := d.deleteOrphansOf(ctx, run, r.Deployment); err != nil {
		return err
	}
	artifacts := run.Stage("Removing deployment artifacts", 3)
	if err := artifacts.Do("Detaching stemcells", func(*task.Step) error {
		dep.Stemcells = nil
		return d.db.SaveDeployment(ctx, dep)
	}); err != nil {
		return err
	}
	if err := artifacts.Do("Detaching releases", func(*task.Step) error {
		dep.Releases = nil
		return d.db.SaveDeployment(ctx, dep)
	}); err != nil {
		return err
	}
	return run.Stage("Deleting properties", 0).Do("Destroying deployment", func(*task.Step) error {
		return d.db.DeleteDeployment(ctx, r.Deployment)
	})
}

// deleteUnneeded removes instances that the manifest no longer asks for.
func (d *Director) deleteUnneeded(ctx context.Context, run *task.Run, instances []*observed, skip skipDrain, limit int, tags ...string) error {
	if len(instances) == 0 {
		return nil
	}
	stage := run.Stage("Deleting unneeded instances", len(instances), tags...)
	deletion := deletion{d: d, run: run, intent: deleteInstance, keepDisks: true, skipDrain: skip}
	return inParallel(ctx, limit, instances, func(ctx context.Context, o *observed) error {
		return deletion.perform(ctx, stage, o)
	})
}

// deletion removes instances one by one.
type deletion struct {
	d   *Director
	run *task.Run
	// force goes on when a step fails, as long as the VM can be removed.
	force  bool
	intent stopIntent
	// keepDisks turns persistent disks into orphans.
	keepDisks bool
	skipDrain skipDrain
}

func (x deletion) perform(ctx context.Context, stage *task.Stage, o *observed) error {
	return audited(ctx, x.run, instanceEvent("delete", o.row), func(*db.Event) error {
		return stage.Do(label(o.row), func(*task.Step) error {
			err := x.d.stopForDeletion(ctx, x.run, o.row, x.intent, x.skipDrain.of(o.row.Group))
			if err := x.forgive(ctx, o.row, err); err != nil {
				return err
			}
			if err := x.d.deleteVM(ctx, x.run, &o.row); err != nil {
				return err
			}
			return x.removeRest(ctx, o.row)
		})
	})
}

// forgive passes over a fault when the deletion is forced, unless the task was
// cancelled.
func (x deletion) forgive(ctx context.Context, row db.Instance, err error) error {
	err = agentFault(ctx, row, err)
	if err == nil || !x.force || ctx.Err() != nil {
		return err
	}
	x.run.Log().Warn("passing over a fault", "instance", row.Name(), "error", err)
	return nil
}

// removeRest removes what an instance without a VM still has.
func (x deletion) removeRest(ctx context.Context, row db.Instance) error {
	disks, err := x.d.db.Disks(ctx, row.ID)
	if err != nil {
		return err
	}
	for _, disk := range disks {
		if x.keepDisks && disk.Active {
			err = x.d.db.OrphanDisk(ctx, disk.CID, x.d.now())
		} else {
			err = x.deleteDisk(ctx, row, disk.CID)
		}
		if err != nil {
			return err
		}
	}
	if err := x.d.archives.keepOnly(row.ID, ""); err != nil {
		return err
	}
	return x.d.db.DeleteInstance(ctx, row.ID)
}

func (x deletion) deleteDisk(ctx context.Context, row db.Instance, cid string) error {
	return audited(ctx, x.run, partEvent("delete", "disk", cid, row), func(*db.Event) error {
		if err := x.d.cloud.DeleteDisk(ctx, cid); err != nil {
			return err
		}
		x.run.CPILog().Info("deleted disk", "cid", cid, "instance", row.Name())
		return x.d.db.DeleteDisk(ctx, cid)
	})
}

// deleteOrphansOf removes the disks that the deployment's instances lost while
// it lived: nothing of a deleted deployment is left on this machine.
func (d *Director) deleteOrphansOf(ctx context.Context, run *task.Run, deployment string) error {
	orphans, err := d.db.OrphanDisks(ctx)
	if err != nil {
		return err
	}
	for _, o := range orphans {
		if o.Deployment != deployment {
			continue
		}
		if err := d.deleteOrphan(ctx, run, o); err != nil {
			return err
		}
	}
	return nil
}

func (d *Director) deleteOrphan(ctx context.Context, run *task.Run, o db.OrphanDisk) error {
	e := db.Event{Action: "delete", ObjectType: "disk", ObjectName: o.CID, Deployment: o.Deployment, Instance: o.Instance}
	return audited(ctx, run, e, func(*db.Event) error {
		if err := d.cloud.DeleteDisk(ctx, o.CID); err != nil {
			return err
		}
		run.CPILog().Info("deleted orphaned disk", "cid", o.CID)
		return d.db.DeleteOrphanDisk(ctx, o.CID)
	})
}

// DeleteOrphanDisk removes one orphaned disk; none of that CID is no fault.
func (d *Director) DeleteOrphanDisk(ctx context.Context, run *task.Run, cid string) (string, error) {
	orphans, err := d.db.OrphanDisks(ctx)
	if err != nil {
		return "", err
	}
	stage := run.Stage("Deleting orphaned disks", 1)
	err = stage.Do("Deleting orphaned disk "+cid, func(*task.Step) error {
		for _, o := range orphans {
			if o.CID == cid {
				return d.deleteOrphan(ctx, run, o)
			}
		}
		return nil
	})
	return "orphaned disk(s) " + cid + " deleted", err
}
