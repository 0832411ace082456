package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// scanAndFix looks again at the instances under the deployment's lock and
// brings back those that still need it.
func (d *Director) scanAndFix(ctx context.Context, run *task.Run, deployment string, ids []string) (string, error) {
	return locked(ctx, run, deployment, func() (string, error) {
		found, err := d.scan(ctx, run, deployment, ids)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			if err := d.fix(ctx, run, found); err != nil {
				return "", err
			}
			if err := d.postDeployAll(ctx, run, deployment); err != nil {
				return "", err
			}
		}
		return "scan and fix complete", nil
	})
}

// problem is an instance without a working VM.
type problem struct {
	row     db.Instance
	kind    string // "missing_vm" or "unresponsive_agent"
	summary string
}

func (d *Director) scan(ctx context.Context, run *task.Run, deployment string, ids []string) ([]problem, error) {
	rows, err := d.db.Instances(ctx, deployment)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(row db.Instance) bool { return !slices.Contains(ids, row.ID) || !wantsVM(row) })
	stage := run.Stage(fmt.Sprintf("Scanning %d VMs", len(rows)), 2)
	var found []problem
	counts := map[string]int{}
	if err := stage.Do("Checking VM states", func(*task.Step) error {
		for _, row := range rows {
			p, err := d.diagnose(ctx, row)
			if err != nil {
				return err
			}
			counts[p.kind]++
			if p.kind != "" {
				found = append(found, p)
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	return found, stage.Do(fmt.Sprintf("%d OK, %d unresponsive, %d missing, 0 unbound", counts[""], counts["unresponsive_agent"], counts["missing_vm"]),
		func(*task.Step) error { return nil })
}

// diagnose finds out what is wrong with an instance's VM; kind "" is nothing.
func (d *Director) diagnose(ctx context.Context, row db.Instance) (problem, error) {
	if row.VM == nil || !d.cloud.Alive(row.VM.CID) {
		cid := ""
		if row.VM != nil {
			cid = " with cloud ID '" + row.VM.CID + "'"
		}
		return problem{row, "missing_vm", fmt.Sprintf("VM for '%s'%s missing.", label(row), cid)}, nil
	}
	_, err := d.vitals(ctx, row)
	if ctx.Err() != nil {
		return problem{}, context.Cause(ctx)
	}
	if err == nil || !(unreachable(err) || errors.Is(err, context.DeadlineExceeded)) {
		return problem{row: row}, nil // it is there again
	}
	return problem{row, "unresponsive_agent", fmt.Sprintf("VM for '%s' with cloud ID '%s' is not responding.", label(row), row.VM.CID)}, nil
}

// fix recreates the VMs of all problems. One that cannot be solved does not
// keep the others from being solved.
func (d *Director) fix(ctx context.Context, run *task.Run, found []problem) error {
	stage := run.Stage("Applying problem resolutions", len(found))
	var (
		mu     sync.Mutex
		faults []error
	)
	err := inParallel(ctx, d.config.MaxThreads, found, func(ctx context.Context, p problem) error {
		name := fmt.Sprintf("%s (%s %s): Recreate VM and wait for processes to start", p.summary, p.kind, p.row.ID)
		if err := stage.Do(name, func(*task.Step) error { return d.revive(ctx, run, p.row) }); err != nil {
			mu.Lock()
			defer mu.Unlock()
			faults = append(faults, task.Errorf(task.CodeOf(err), "Error resolving problem '%s': %v", p.row.Name(), err))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(faults...)
}

// postDeployAll runs the post-deploy scripts of all instances that run, as the
// director does after a resurrection. Agents that do not answer are passed over.
func (d *Director) postDeployAll(ctx context.Context, run *task.Run, deployment string) error {
	rows, err := d.db.Instances(ctx, deployment)
	if err != nil {
		return err
	}
	return inParallel(ctx, d.config.MaxThreads, rows, func(ctx context.Context, row db.Instance) error {
		if row.VM == nil || row.State != db.StateStarted || row.Lifecycle == "errand" || !d.cloud.Alive(row.VM.CID) {
			return nil
		}
		client, err := d.agentOf(run, row)
		if err == nil {
			err = client.RunScript(ctx, "post-deploy", nil)
		}
		if unreachable(err) && ctx.Err() == nil {
			run.Log().Warn("post-deploy: the agent does not answer", "instance", row.Name())
			return nil
		}
		return agentFault(ctx, row, err)
	})
}
