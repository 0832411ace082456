package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/cloudfoundry/bosh-agent/v2/agentclient"
	"github.com/cloudfoundry/bosh-agent/v2/agentclient/applyspec"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
)

// fakeAgent is the agent in a VM of the fake world. It knows what was applied,
// which jobs run and which disks are mounted.
type fakeAgent struct {
	vm        *fakeVM
	applied   applyspec.ApplySpec
	installed map[applyspec.Blob]bool
	blobs     map[string][]byte
	running   bool
	stopped   bool
	devices   map[string]bool // disks the agent was told of
	mounted   []string        // the first at /var/vcap/store
	next      int
}

func (a *fakeAgent) init(v *fakeVM) {
	a.vm, a.installed, a.blobs, a.devices = v, map[applyspec.Blob]bool{}, map[string][]byte{}, map[string]bool{}
	for _, cid := range v.spec.DiskCIDs {
		a.devices[cid] = true
	}
}

// call changes something in the VM unless its agent does not answer.
func (a *fakeAgent) call(method string, effect func() error) error {
	return a.vm.w.change(method, func() error {
		if !a.vm.responsive {
			return &agent.TimeoutError{Method: method, After: 45 * time.Second, Cause: errors.New("no answer")}
		}
		return effect()
	})
}

func (a *fakeAgent) refuse(method, format string, args ...any) error {
	return &agent.Error{Method: method, Message: fmt.Sprintf(format, args...)}
}

func (a *fakeAgent) WaitReady(ctx context.Context) error { _, err := a.State(ctx); return err }

func (a *fakeAgent) State(context.Context) (agent.State, error) {
	a.vm.w.mu.Lock()
	defer a.vm.w.mu.Unlock()
	s := agent.State{JobState: "running", ConfigurationHash: a.applied.ConfigurationHash, Packages: map[string]json.RawMessage{}}
	if !a.vm.responsive {
		return s, &agent.TimeoutError{Method: "get_state", After: 45 * time.Second, Cause: errors.New("no answer")}
	}
	for name, blob := range a.applied.Packages {
		text, err := json.Marshal(blob)
		if err != nil {
			return s, err
		}
		s.Packages[name] = text
	}
	switch {
	case a.stopped:
		s.JobState = "stopped"
	case len(a.applied.Job.Templates) > 0 && (!a.running || a.vm.w.crashing):
		s.JobState = "failing"
		s.Processes = []agent.Process{{Name: "hello", State: "failing"}, {Name: "fine", State: "running"}}
	}
	return s, nil
}

func (a *fakeAgent) StateFull(ctx context.Context) (agent.State, error) {
	s, err := a.State(ctx)
	s.Vitals = json.RawMessage(`{"load":["0.1"]}`)
	return s, err
}

func (a *fakeAgent) Prepare(_ context.Context, s applyspec.ApplySpec) error {
	return a.call("prepare", func() error { return a.install("prepare", s) })
}

// install wants the blobs of what is not installed yet.
func (a *fakeAgent) install(method string, s applyspec.ApplySpec) error {
	for name, p := range s.Packages {
		key := applyspec.Blob{Name: p.Name, Version: p.Version, SHA1: p.SHA1}
		if !a.installed[key] && a.blobs[p.BlobstoreID] == nil {
			return a.refuse(method, "package %s: no blob %s", name, p.BlobstoreID)
		}
		a.installed[key] = true
	}
	if a.blobs[s.RenderedTemplatesArchive.BlobstoreID] == nil {
		return a.refuse(method, "templates: no blob %s", s.RenderedTemplatesArchive.BlobstoreID)
	}
	return nil
}

func (a *fakeAgent) Apply(_ context.Context, s applyspec.ApplySpec) error {
	return a.call("apply", func() error {
		if s.ConfigurationHash != "" {
			if a.running {
				return a.refuse("apply", "jobs are running")
			}
			if err := a.install("apply", s); err != nil {
				return err
			}
		}
		a.applied = s
		return nil
	})
}

func (a *fakeAgent) RunScript(ctx context.Context, name string, env map[string]string) error {
	err := a.call(name, func() error { return nil })
	if err == nil && a.vm.w.script != nil {
		err = a.vm.w.script(ctx, a.vm, name, env)
	}
	return err
}

func (a *fakeAgent) Drain(ctx context.Context, why agent.DrainType, next *applyspec.ApplySpec) error {
	err := a.call("drain "+string(why), func() error {
		if why == agent.DrainUpdate && next == nil {
			return a.refuse("drain", "Drain update requires new spec")
		}
		return nil
	})
	if err == nil && a.vm.w.script != nil {
		err = a.vm.w.script(ctx, a.vm, "drain", nil)
	}
	return err
}

func (a *fakeAgent) Start(context.Context) error {
	return a.call("start", func() error {
		a.running, a.stopped = true, false
		return nil
	})
}

func (a *fakeAgent) Stop(context.Context) error {
	return a.call("stop", func() error {
		a.running, a.stopped = false, true
		return nil
	})
}

func (a *fakeAgent) RunErrand(ctx context.Context, job string) (agent.ErrandResult, error) {
	err := a.call("run_errand", func() error {
		if !slices.ContainsFunc(a.applied.Job.Templates, func(b applyspec.Blob) bool { return b.Name == job }) {
			return a.refuse("run_errand", "Could not find errand %s", job)
		}
		return nil
	})
	if err != nil || a.vm.w.errand == nil {
		return agent.ErrandResult{Stdout: "fine\n"}, err
	}
	code, err := a.vm.w.errand(ctx, a.vm, job)
	return agent.ErrandResult{Stdout: "said\n", Stderr: "complained\n", ExitCode: code}, err
}

func (a *fakeAgent) PutBlob(_ context.Context, from string) (id string, err error) {
	content, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	return id, a.call("put_blob", func() error {
		a.next++
		id = fmt.Sprintf("blob-%d", a.next)
		a.blobs[id] = append([]byte{}, content...)
		return nil
	})
}

func (a *fakeAgent) GetBlob(_ context.Context, id, to string) error {
	return a.call("get_blob", func() error { return os.WriteFile(to, a.blobs[id], 0o600) })
}

func (a *fakeAgent) DeleteBlob(_ context.Context, id string) error {
	return a.call("delete_blob", func() error { delete(a.blobs, id); return nil })
}

func (a *fakeAgent) CompilePackage(_ context.Context, source agentclient.BlobRef, needs []agentclient.BlobRef) (agentclient.BlobRef, error) {
	out := agentclient.BlobRef{Name: source.Name, Version: source.Version}
	return out, a.call("compile "+source.Name, func() error {
		if a.blobs[source.BlobstoreID] == nil {
			return a.refuse("compile_package", "no source")
		}
		for _, n := range needs {
			if a.blobs[n.BlobstoreID] == nil {
				return a.refuse("compile_package", "dependency %s is missing", n.Name)
			}
		}
		a.next++
		out.BlobstoreID = fmt.Sprintf("blob-%d", a.next)
		a.blobs[out.BlobstoreID] = []byte("compiled " + source.Name)
		return nil
	})
}

func (a *fakeAgent) AddPersistentDisk(_ context.Context, cid string, _ any) error {
	return a.call("add_persistent_disk", func() error { a.devices[cid] = true; return nil })
}

func (a *fakeAgent) RemovePersistentDisk(_ context.Context, cid string) error {
	return a.call("remove_persistent_disk", func() error { delete(a.devices, cid); return nil })
}

func (a *fakeAgent) MountDisk(_ context.Context, cid string) error {
	return a.call("mount_disk", func() error {
		disk := a.vm.w.disks[cid]
		if disk == nil || disk.on != a.vm.spec.CID || !a.devices[cid] {
			return a.refuse("mount_disk", "disk %s is not attached", cid)
		}
		if !slices.Contains(a.mounted, cid) {
			a.mounted = append(a.mounted, cid)
		}
		return nil
	})
}

func (a *fakeAgent) UnmountDisk(_ context.Context, cid string) error {
	return a.call("unmount_disk", func() error {
		a.mounted = slices.DeleteFunc(a.mounted, func(m string) bool { return m == cid })
		return nil
	})
}

func (a *fakeAgent) MigrateDisk(context.Context) error {
	return a.call("migrate_disk", func() error {
		if len(a.mounted) != 2 {
			return a.refuse("migrate_disk", "%d disks are mounted", len(a.mounted))
		}
		if a.running {
			return a.refuse("migrate_disk", "jobs are running")
		}
		a.vm.w.disks[a.mounted[1]].content = a.vm.w.disks[a.mounted[0]].content
		a.mounted = a.mounted[1:]
		return nil
	})
}

func (a *fakeAgent) ListDisk(context.Context) ([]string, error) {
	a.vm.w.mu.Lock()
	defer a.vm.w.mu.Unlock()
	if !a.vm.responsive {
		return nil, &agent.TimeoutError{Method: "list_disk", After: 45 * time.Second, Cause: errors.New("no answer")}
	}
	return slices.Clone(a.mounted), nil
}
