package operation

import (
	"context"
	"slices"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// instanceUpdate brings one instance from what it is to what is wanted.
type instanceUpdate struct {
	d    *Director
	run  *task.Run
	p    *instancePlan
	step *progress
	// canary chooses the watch times.
	canary bool
	// recreate is decided before anything changes.
	recreate bool
	applied  bool
}

// updateInstance updates one instance, with an entry in the trail. Before it
// touches anything the row says that the update is not complete.
func (d *Director) updateInstance(ctx context.Context, run *task.Run, p *instancePlan, canary bool, step *task.Step) error {
	u := &instanceUpdate{d: d, run: run, p: p, step: &progress{step: step}, canary: canary,
		recreate: needsNewVM(p.changes) && p.row.VM != nil && !p.fresh}
	if p.row.VM != nil && !d.cloud.Alive(p.row.VM.CID) { // it died since the agents were asked
		u.recreate, p.is.jobState = true, agentUnresponsive
	}
	run.Log().Info("updating instance", "instance", p.row.Name(), "changes", p.changes, "recreate", u.recreate)
	return audited(ctx, run, u.event(), func(*db.Event) error {
		return agentFault(ctx, p.row, u.perform(ctx))
	})
}

func (u *instanceUpdate) perform(ctx context.Context) error {
	p := u.p
	p.row.UpdateCompleted = false
	if err := u.save(ctx); err != nil {
		return err
	}
	if p.row.State != db.StateDetached {
		if err := u.leaveOldState(ctx); err != nil {
			return err
		}
		if p.want.state == db.StateStopped && !p.fresh {
			return u.complete(ctx)
		}
	}
	if p.want.state == db.StateDetached {
		return u.complete(ctx)
	}
	if err := u.convergeVM(ctx); err != nil {
		return err
	}
	if err := u.apply(ctx); err != nil {
		return err
	}
	return u.complete(ctx)
}

// leaveOldState prepares what can be prepared while the jobs still run, stops
// them, and removes the VM of an instance that is to be detached.
func (u *instanceUpdate) leaveOldState(ctx context.Context) error {
	p := u.p
	if p.row.VM == nil {
		return nil
	}
	responsive := p.is.jobState != agentUnresponsive
	if responsive {
		if !u.recreate && p.want.state == db.StateStarted {
			if err := u.prepare(ctx); err != nil {
				return err
			}
		}
		if p.row.State != db.StateStopped {
			if err := u.stop(ctx); err != nil {
				return err
			}
		}
	}
	if p.want.state != db.StateDetached {
		return nil
	}
	if responsive {
		if err := u.d.unmountDisks(ctx, u.run, p.row); err != nil {
			return err
		}
	}
	return u.d.deleteVM(ctx, u.run, &p.row)
}

func (u *instanceUpdate) client() (agentClient, error) { return u.d.agentOf(u.run, u.p.row) }

// prepare uploads the new spec and has the agent unpack it, so that the jobs
// stand still for a shorter time. Once is enough.
func (u *instanceUpdate) prepare(ctx context.Context) error {
	if u.p.blobs != nil {
		return nil
	}
	client, err := u.client()
	if err != nil {
		return err
	}
	if err := u.upload(ctx, client); err != nil {
		return err
	}
	return client.Prepare(ctx, u.p.want.spec.applySpec(u.p.row, *u.p.blobs))
}

func (u *instanceUpdate) upload(ctx context.Context, client agentClient) error {
	if u.p.blobs != nil {
		return nil
	}
	blobs, err := u.d.upload(ctx, client, u.p.row, u.p.want.spec)
	if err != nil {
		return err
	}
	u.p.blobs = &blobs
	return nil
}

func (u *instanceUpdate) stop(ctx context.Context) error {
	p := u.p
	client, err := u.client()
	if err != nil {
		return err
	}
	intent := keepVM
	if u.recreate || p.want.state == db.StateDetached {
		intent = deleteVM
	}
	next := p.want.spec.machineOnly(p.row)
	if p.blobs != nil {
		next = p.want.spec.applySpec(p.row, *p.blobs)
	}
	return stopJobs(ctx, client, u.step, stopOptions{
		intent: intent, skipDrain: p.skipDrain, next: &next,
		shutdown: intent == deleteVM || p.want.state != db.StateStarted || slices.Contains(p.changes, changePersistentDisk),
	})
}

// convergeVM gives the instance the VM and the disk it should have.
func (u *instanceUpdate) convergeVM(ctx context.Context) error {
	p := u.p
	if u.recreate {
		if p.is.jobState != agentUnresponsive {
			if err := u.d.unmountDisks(ctx, u.run, p.row); err != nil {
				return err
			}
		}
		if err := u.d.deleteVM(ctx, u.run, &p.row); err != nil {
			return err
		}
	}
	if p.row.VM == nil {
		p.blobs = nil
		if err := u.d.createVM(ctx, u.run, &p.row, p.want.spec); err != nil {
			return err
		}
		p.fresh = true
	}
	return u.d.convergeDisks(ctx, u.run, p.row, p.want.disk, p.want.recreateDisks)
}

// apply gives the agent the spec and starts the jobs.
func (u *instanceUpdate) apply(ctx context.Context) error {
	p := u.p
	client, err := u.client()
	if err != nil {
		return err
	}
	if err := u.upload(ctx, client); err != nil {
		return err
	}
	u.step.advance(10, "installing packages")
	if p.row.Spec, err = p.want.spec.encode(); err != nil {
		return err
	}
	if err := u.save(ctx); err != nil {
		return err
	}
	if err := client.Apply(ctx, p.want.spec.applySpec(p.row, *p.blobs)); err != nil {
		return err
	}
	u.applied = true
	u.step.advance(10, "configuring jobs")
	if err := forgetBlobs(ctx, client, *p.blobs); err != nil {
		return err
	}
	if p.want.state != db.StateStarted {
		return nil
	}
	watch := p.want.spec.Update.UpdateWatchTime
	if u.canary {
		watch = p.want.spec.Update.CanaryWatchTime
	}
	return startJobs(ctx, client, p.row, watch, u.step)
}

// complete records that the instance is as it was wanted. One that was stopped
// did not get the spec it may have missed before.
func (u *instanceUpdate) complete(ctx context.Context) error {
	u.p.row.State = u.p.want.state
	u.p.row.UpdateCompleted = u.p.wasComplete || u.applied
	if err := u.save(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	return u.d.archives.keepOnly(u.p.row.ID, currentDigest(u.p.row))
}

func (u *instanceUpdate) save(ctx context.Context) error { return u.d.db.PutInstance(ctx, u.p.row) }

// event is how the trail calls what happens to the instance.
func (u *instanceUpdate) event() db.Event {
	p := u.p
	if len(p.changes) == 1 && (p.changes[0] == changeState || p.changes[0] == changeRestart) {
		action := map[string]string{db.StateStarted: "start", db.StateStopped: "stop", db.StateDetached: "stop"}[p.want.state]
		if p.want.restart {
			action = actionRestart
		}
		return instanceEvent(action, p.row)
	}
	action := "update"
	switch {
	case p.planned.New:
		action = "create"
	case u.recreate:
		action = actionRecreate
	}
	e := instanceEvent(action, p.row)
	fields := map[string]any{}
	if p.row.AZ != "" {
		fields["az"] = p.row.AZ
	}
	if !p.planned.New && !(len(p.changes) == 1 && p.changes[0] == changeRecreate) {
		fields["changes"] = p.changes
	}
	e.Context = eventContext(fields)
	return e
}

// currentDigest names the templates that the row's spec was given; "" when it
// has none.
func currentDigest(row db.Instance) string {
	s, err := decodeSpec(row.Spec)
	if err != nil || s == nil {
		return ""
	}
	return s.Templates.Digest
}
