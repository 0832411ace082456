package operation

import (
	"context"
	"strings"

	"github.com/cloudfoundry/bosh-agent/v2/agentclient/applyspec"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// stopIntent is what becomes of an instance after its jobs were stopped.
type stopIntent int

const (
	keepVM stopIntent = iota
	deleteVM
	deleteInstance
	deleteDeployment
)

// preStopEnv is what pre-stop scripts learn about the future.
func (i stopIntent) preStopEnv() map[string]string {
	next := func(deleted bool) string {
		if deleted {
			return "delete"
		}
		return "keep"
	}
	return map[string]string{
		"BOSH_VM_NEXT_STATE":         next(i >= deleteVM),
		"BOSH_INSTANCE_NEXT_STATE":   next(i >= deleteInstance),
		"BOSH_DEPLOYMENT_NEXT_STATE": next(i >= deleteDeployment),
	}
}

// stopOptions say how an instance is stopped.
type stopOptions struct {
	intent    stopIntent
	skipDrain bool
	// shutdown drains as for the end of the VM or a long stop, not as for an
	// update that starts the jobs again at once.
	shutdown bool
	// next is the spec that the instance will get; drain scripts compare it
	// with the current one. Nil when it is to be deleted.
	next *applyspec.ApplySpec
}

// stopJobs runs pre-stop, drains, stops all jobs and runs post-stop.
func stopJobs(ctx context.Context, client agentClient, p *progress, o stopOptions) error {
	if o.skipDrain {
		p.advance(10, "skipped pre-stop & drain")
	} else if err := drainJobs(ctx, client, p, o); err != nil {
		return err
	}
	p.advance(20, "stopping jobs")
	if err := client.Stop(ctx); err != nil {
		// The director goes on after five minutes of stopping in vain.
		if !strings.Contains(err.Error(), "Timed out waiting for service") {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	p.advance(10, "executing post-stop")
	return client.RunScript(ctx, "post-stop", nil)
}

func drainJobs(ctx context.Context, client agentClient, p *progress, o stopOptions) error {
	p.advance(5, "executing pre-stop")
	if err := client.RunScript(ctx, "pre-stop", o.intent.preStopEnv()); err != nil {
		return err
	}
	p.advance(5, "executing drain")
	why := agent.DrainUpdate
	if o.shutdown {
		why = agent.DrainShutdown
	}
	next := o.next
	if next == nil {
		next = &applyspec.ApplySpec{}
	}
	return client.Drain(ctx, why, next)
}

// progress reports how far the update of an instance is. Without a step it
// reports nothing.
type progress struct {
	step    *task.Step
	percent int
}

func (p *progress) advance(percent int, status string) {
	if p == nil || p.step == nil {
		return
	}
	p.percent = min(100, p.percent+percent)
	p.step.InProgress(p.percent, status)
}

// stopForDeletion stops the jobs of an instance that is to lose its VM. A VM
// that is gone has nothing left to stop.
func (d *Director) stopForDeletion(ctx context.Context, run *task.Run, row db.Instance, intent stopIntent, skipDrain bool) error {
	if row.VM == nil || row.State != db.StateStarted || !d.cloud.Alive(row.VM.CID) {
		return nil
	}
	client, err := d.agentOf(run, row)
	if err != nil {
		return err
	}
	return stopJobs(ctx, client, nil, stopOptions{intent: intent, skipDrain: skipDrain, shutdown: true})
}
