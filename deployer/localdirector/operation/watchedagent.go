package operation

import (
	"context"

	"github.com/cloudfoundry/bosh-agent/v2/agentclient"
	"github.com/cloudfoundry/bosh-agent/v2/agentclient/applyspec"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
)

// The messages of agentClient, passed on. They are named in the log as the
// agent calls them.

func (w watched) WaitReady(ctx context.Context) error {
	return tell(ctx, w, "ping", w.agent.WaitReady)
}

func (w watched) State(ctx context.Context) (agent.State, error) {
	return ask(ctx, w, "get_state", true, w.agent.State)
}

func (w watched) StateFull(ctx context.Context) (agent.State, error) {
	return ask(ctx, w, "get_state", true, w.agent.StateFull)
}

func (w watched) Prepare(ctx context.Context, s applyspec.ApplySpec) error {
	return tell(ctx, w, "prepare", func(ctx context.Context) error { return w.agent.Prepare(ctx, s) })
}

func (w watched) Apply(ctx context.Context, s applyspec.ApplySpec) error {
	return tell(ctx, w, "apply", func(ctx context.Context) error { return w.agent.Apply(ctx, s) })
}

func (w watched) RunScript(ctx context.Context, name string, env map[string]string) error {
	w.log = w.log.With("script", name)
	return tell(ctx, w, "run_script", func(ctx context.Context) error { return w.agent.RunScript(ctx, name, env) })
}

func (w watched) Drain(ctx context.Context, why agent.DrainType, next *applyspec.ApplySpec) error {
	w.log = w.log.With("why", why)
	return tell(ctx, w, "drain", func(ctx context.Context) error { return w.agent.Drain(ctx, why, next) })
}

func (w watched) Start(ctx context.Context) error { return tell(ctx, w, "start", w.agent.Start) }

func (w watched) Stop(ctx context.Context) error { return tell(ctx, w, "stop", w.agent.Stop) }

func (w watched) RunErrand(ctx context.Context, job string) (agent.ErrandResult, error) {
	return ask(ctx, w, "run_errand", false, func(ctx context.Context) (agent.ErrandResult, error) { return w.agent.RunErrand(ctx, job) })
}

func (w watched) PutBlob(ctx context.Context, from string) (string, error) {
	w.log = w.log.With("file", from)
	return ask(ctx, w, "upload", false, func(ctx context.Context) (string, error) { return w.agent.PutBlob(ctx, from) })
}

func (w watched) GetBlob(ctx context.Context, id, to string) error {
	return tell(ctx, w, "download", func(ctx context.Context) error { return w.agent.GetBlob(ctx, id, to) })
}

func (w watched) DeleteBlob(ctx context.Context, id string) error {
	return tell(ctx, w, "remove_file", func(ctx context.Context) error { return w.agent.DeleteBlob(ctx, id) })
}

func (w watched) CompilePackage(ctx context.Context, source agentclient.BlobRef, needs []agentclient.BlobRef) (agentclient.BlobRef, error) {
	w.log = w.log.With("package", source.Name)
	return ask(ctx, w, "compile_package", false, func(ctx context.Context) (agentclient.BlobRef, error) {
		return w.agent.CompilePackage(ctx, source, needs)
	})
}

func (w watched) AddPersistentDisk(ctx context.Context, cid string, hint any) error {
	return tell(ctx, w, "add_persistent_disk", func(ctx context.Context) error { return w.agent.AddPersistentDisk(ctx, cid, hint) })
}

func (w watched) RemovePersistentDisk(ctx context.Context, cid string) error {
	return tell(ctx, w, "remove_persistent_disk", func(ctx context.Context) error { return w.agent.RemovePersistentDisk(ctx, cid) })
}

func (w watched) MountDisk(ctx context.Context, cid string) error {
	return tell(ctx, w, "mount_disk", func(ctx context.Context) error { return w.agent.MountDisk(ctx, cid) })
}

func (w watched) UnmountDisk(ctx context.Context, cid string) error {
	return tell(ctx, w, "unmount_disk", func(ctx context.Context) error { return w.agent.UnmountDisk(ctx, cid) })
}

func (w watched) MigrateDisk(ctx context.Context) error {
	return tell(ctx, w, "migrate_disk", w.agent.MigrateDisk)
}

func (w watched) ListDisk(ctx context.Context) ([]string, error) {
	return ask(ctx, w, "list_disk", true, w.agent.ListDisk)
}
