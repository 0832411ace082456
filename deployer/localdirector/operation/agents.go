package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cloudfoundry/bosh-agent/v2/agentclient"
	"github.com/cloudfoundry/bosh-agent/v2/agentclient/applyspec"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

// agentOf reaches the agent of the instance's VM. What is asked of it goes to
// the task's debug log.
func (d *Director) agentOf(run *task.Run, row db.Instance) (agentClient, error) {
	if row.VM == nil {
		return nil, fmt.Errorf("instance %s has no VM", row.Name())
	}
	client, err := d.cloud.Agent(row.VM.CID)
	if errors.Is(err, vm.ErrNotFound) {
		return nil, &agent.TimeoutError{Method: "ping", Cause: err}
	}
	if err != nil {
		return nil, fmt.Errorf("reach the agent of %s: %w", row.Name(), err)
	}
	return traced{client, run.Log().With("instance", row.Name())}, nil
}

// observeAgent asks the agent what its jobs do.
func (d *Director) observeAgent(ctx context.Context, row db.Instance) (agent.State, error) {
	client, err := d.cloud.Agent(row.VM.CID)
	if errors.Is(err, vm.ErrNotFound) {
		return agent.State{}, &agent.TimeoutError{Method: "get_state", Cause: err}
	}
	if err != nil {
		return agent.State{}, fmt.Errorf("reach the agent of %s: %w", row.Name(), err)
	}
	return client.State(ctx)
}

// traced logs the messages to an agent that take time or change something.
type traced struct {
	agentClient
	log *slog.Logger
}

func (t traced) trace(method string, args ...any) func(error) {
	begin := time.Now()
	return func(err error) {
		args = append(args, "method", method, "took", time.Since(begin).Round(time.Millisecond))
		if err != nil {
			args = append(args, "error", err)
		}
		t.log.Info("agent", args...)
	}
}

func (t traced) Prepare(ctx context.Context, s applyspec.ApplySpec) (err error) {
	defer func(done func(error)) { done(err) }(t.trace("prepare"))
	return t.agentClient.Prepare(ctx, s)
}

func (t traced) Apply(ctx context.Context, s applyspec.ApplySpec) (err error) {
	defer func(done func(error)) { done(err) }(t.trace("apply", "configuration", s.ConfigurationHash))
	return t.agentClient.Apply(ctx, s)
}

func (t traced) RunScript(ctx context.Context, name string, env map[string]string) (err error) {
	defer func(done func(error)) { done(err) }(t.trace("run_script", "script", name))
	return t.agentClient.RunScript(ctx, name, env)
}

func (t traced) Drain(ctx context.Context, why agent.DrainType, next *applyspec.ApplySpec) (err error) {
	defer func(done func(error)) { done(err) }(t.trace("drain", "why", why))
	return t.agentClient.Drain(ctx, why, next)
}

func (t traced) Start(ctx context.Context) (err error) {
	defer func(done func(error)) { done(err) }(t.trace("start"))
	return t.agentClient.Start(ctx)
}

func (t traced) Stop(ctx context.Context) (err error) {
	defer func(done func(error)) { done(err) }(t.trace("stop"))
	return t.agentClient.Stop(ctx)
}

func (t traced) RunErrand(ctx context.Context, job string) (r agent.ErrandResult, err error) {
	defer func(done func(error)) { done(err) }(t.trace("run_errand", "job", job))
	return t.agentClient.RunErrand(ctx, job)
}

func (t traced) PutBlob(ctx context.Context, from string) (id string, err error) {
	defer func(done func(error)) { done(err) }(t.trace("upload", "file", from))
	return t.agentClient.PutBlob(ctx, from)
}

func (t traced) CompilePackage(ctx context.Context, source agentclient.BlobRef, needs []agentclient.BlobRef) (b agentclient.BlobRef, err error) {
	defer func(done func(error)) { done(err) }(t.trace("compile_package", "package", source.Name))
	return t.agentClient.CompilePackage(ctx, source, needs)
}

func (t traced) MountDisk(ctx context.Context, cid string) (err error) {
	defer func(done func(error)) { done(err) }(t.trace("mount_disk", "cid", cid))
	return t.agentClient.MountDisk(ctx, cid)
}

func (t traced) UnmountDisk(ctx context.Context, cid string) (err error) {
	defer func(done func(error)) { done(err) }(t.trace("unmount_disk", "cid", cid))
	return t.agentClient.UnmountDisk(ctx, cid)
}

func (t traced) MigrateDisk(ctx context.Context) (err error) {
	defer func(done func(error)) { done(err) }(t.trace("migrate_disk"))
	return t.agentClient.MigrateDisk(ctx)
}
