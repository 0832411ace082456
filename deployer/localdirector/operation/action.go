package operation

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// ActOnInstance stops, starts, restarts or recreates one instance with the
// spec it has, and touches nothing else of the deployment. Faults: 70001,
// 90000 for instances of an errand, 190020 for ignored ones.
func (d *Director) ActOnInstance(ctx context.Context, run *task.Run, r ActionRequest) (string, error) {
	return locked(ctx, run, r.Deployment, func() (string, error) {
		row, err := d.findInstance(ctx, r.Deployment, r.Group, r.IndexOrID)
		if err != nil {
			return "", err
		}
		name := r.Action
		if row.Lifecycle == "errand" {
			return "", task.Errorf(codeInvalidLifecycle,
				"Isolated %s can not be run on instances of type errand. Try the bosh run-errand command.", name)
		}
		if row.Ignore {
			return "", task.Errorf(codeIgnoredInstancesModified, "You are trying to change the state of the ignored instance '%s'. "+
				"This operation is not allowed. You need to unignore it first.", row.Name())
		}
		a := &instanceAction{d: d, run: run, row: row, r: r, stage: run.Stage("Updating instance "+label(row), 1)}
		switch r.Action {
		case "stop":
			err = a.stop(ctx, r.Hard)
		case "start":
			err = a.start(ctx)
		case actionRestart, actionRecreate:
			err = audited(ctx, run, instanceEvent(r.Action, row), func(*db.Event) error {
				if err := a.stop(ctx, r.Action == actionRecreate); err != nil {
					return err
				}
				return a.start(ctx)
			})
		default:
			err = fmt.Errorf("unknown action %q", r.Action)
		}
		return row.Name(), err
	})
}

func (d *Director) findInstance(ctx context.Context, deployment, group, indexOrID string) (db.Instance, error) {
	if _, err := d.db.Deployment(ctx, deployment); err != nil {
		return db.Instance{}, deploymentNotFound(deployment, err)
	}
	rows, err := d.db.Instances(ctx, deployment)
	if err != nil {
		return db.Instance{}, err
	}
	for _, row := range rows {
		if matches(row, group, indexOrID) {
			return row, nil
		}
	}
	return db.Instance{}, instanceNotFound(deployment, group, indexOrID)
}

// instanceAction is an action on one instance under way.
type instanceAction struct {
	d     *Director
	run   *task.Run
	row   db.Instance
	r     ActionRequest
	stage *task.Stage
}

// stop stops the jobs, and with hard deletes the VM.
func (a *instanceAction) stop(ctx context.Context, hard bool) error {
	if a.row.State == db.StateDetached || (a.row.State == db.StateStopped && !hard) {
		return nil
	}
	responsive, err := a.responsive(ctx)
	if err != nil {
		return err
	}
	if err := a.stage.Do("Stopping instance", func(*task.Step) error {
		return audited(ctx, a.run, instanceEvent("stop", a.row), func(*db.Event) error {
			return agentFault(ctx, a.row, a.stopJobs(ctx, responsive, hard))
		})
	}); err != nil || !hard {
		return err
	}
	return a.stage.Do("Deleting VM", func(*task.Step) error {
		if responsive {
			if err := a.d.unmountDisks(ctx, a.run, a.row); err != nil {
				return agentFault(ctx, a.row, err)
			}
		}
		if err := a.d.deleteVM(ctx, a.run, &a.row); err != nil {
			return err
		}
		a.row.State = db.StateDetached
		return a.save(ctx)
	})
}

// responsive tells whether the instance has an agent that answers. One that
// does not is a fault unless the request says to ignore it.
func (a *instanceAction) responsive(ctx context.Context) (bool, error) {
	if a.row.VM == nil || !a.d.cloud.Alive(a.row.VM.CID) {
		return false, nil
	}
	_, err := a.d.observeAgent(ctx, a.row)
	if unreachable(err) && a.r.IgnoreUnresponsiveAgent {
		return false, nil
	}
	return err == nil, agentFault(ctx, a.row, err)
}

func (a *instanceAction) stopJobs(ctx context.Context, responsive, hard bool) error {
	if responsive && a.row.State == db.StateStarted {
		client, err := a.d.agentOf(a.run, a.row)
		if err != nil {
			return err
		}
		intent := keepVM
		if hard {
			intent = deleteVM
		}
		if err := stopJobs(ctx, client, nil, stopOptions{intent: intent, skipDrain: a.r.SkipDrain, shutdown: true}); err != nil {
			return err
		}
	}
	a.row.State = db.StateStopped
	return a.save(ctx)
}

// start gives the instance a VM when it has none, and starts its jobs unless
// they run.
func (a *instanceAction) start(ctx context.Context) error {
	s, err := decodeSpec(a.row.Spec)
	if err != nil {
		return fmt.Errorf("instance %s: %w", a.row.Name(), err)
	}
	if s == nil {
		return task.Errorf(codeBadManifest, "Instance '%s' was never deployed successfully: deploy it first", a.row.Name())
	}
	if a.row.VM != nil && !a.d.cloud.Alive(a.row.VM.CID) {
		if err := a.d.deleteVM(ctx, a.run, &a.row); err != nil {
			return err
		}
	}
	if a.row.VM == nil {
		if err := a.stage.Do("Creating VM", func(*task.Step) error {
			if err := a.d.recompile(ctx, a.run, a.row.Deployment, s); err != nil {
				return err
			}
			return a.d.createVM(ctx, a.run, &a.row, *s)
		}); err != nil {
			return err
		}
	} else if state, err := a.d.observeAgent(ctx, a.row); err != nil {
		return agentFault(ctx, a.row, err)
	} else if a.row.State == db.StateStarted && state.JobState == jobsRunning {
		return nil
	}
	return a.stage.Do("Starting instance", func(*task.Step) error {
		return audited(ctx, a.run, instanceEvent("start", a.row), func(*db.Event) error { return a.startJobs(ctx, *s) })
	})
}

func (a *instanceAction) startJobs(ctx context.Context, s spec) error {
	a.row.State, a.row.UpdateCompleted = db.StateStarted, false
	if err := a.save(ctx); err != nil {
		return err
	}
	err := agentFault(ctx, a.row, a.d.bringUp(ctx, a.run, &a.row, s, s.Update.UpdateWatchTime))
	a.row.UpdateCompleted = err == nil
	return errors.Join(err, a.save(context.WithoutCancel(ctx)))
}

func (a *instanceAction) save(ctx context.Context) error { return a.d.db.PutInstance(ctx, a.row) }
