package operation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/cloudfoundry/bosh-agent/v2/agentclient"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// compilationPrefix begins the CIDs of compilation VMs. They belong to no
// instance and live no longer than the task that made them: Recover removes
// those that a killed director left.
const compilationPrefix = "compilation-"

// compilers is the set of compilation VMs of one task.
type compilers struct {
	d     *Director
	run   *task.Run
	c     compilation
	reuse bool

	mu   sync.Mutex
	idle []*compiler
}

// compiler is one compilation VM.
type compiler struct {
	cid      string
	stemcell db.NameVersion
	client   agentClient
	release  func() // gives its address back
}

// compile compiles one package unless another task just did.
func (p *compilers) compile(ctx context.Context, r *requirement) error {
	unlock, err := p.d.compiling.lock(ctx, r.key)
	if err != nil {
		return err
	}
	defer unlock()
	if _, ok, err := p.d.compiled.Get(ctx, r.key); ok || err != nil {
		return err
	}
	vm, err := p.obtain(ctx, r.stemcell)
	if err != nil {
		return err
	}
	err = p.d.compileOn(ctx, vm.client, r)
	if err == nil && p.reuse {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle = append(p.idle, vm)
		return nil
	}
	return errors.Join(compileFault(ctx, r, err), p.remove(context.WithoutCancel(ctx), vm))
}

// obtain takes an idle VM of the stemcell or makes one.
func (p *compilers) obtain(ctx context.Context, stemcell db.Stemcell) (*compiler, error) {
	want := db.NameVersion{Name: stemcell.Name, Version: stemcell.Version}
	p.mu.Lock()
	for i, vm := range p.idle {
		if vm.stemcell == want {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			p.mu.Unlock()
			return vm, nil
		}
	}
	p.mu.Unlock()
	return p.create(ctx, want)
}

func (p *compilers) create(ctx context.Context, stemcell db.NameVersion) (*compiler, error) {
	var network manifest.NetworkSettings
	release, err := p.d.addresses.choose(ctx, "", func(taken []manifest.Reservation) (_ []manifest.Reservation, err error) {
		network, err = manifest.CompilationNetwork(p.c.cloud, taken)
		return []manifest.Reservation{{IP: network.IP, Deployment: p.c.deployment}}, err
	})
	if err != nil {
		return nil, err
	}
	env, err := canonicalJSON(p.c.config.Env)
	if err != nil {
		release()
		return nil, fmt.Errorf("encode the env of compilation VMs: %w", err)
	}
	vm := &compiler{cid: compilationPrefix + newGUID(), stemcell: stemcell, release: release}
	m := machineSpec{Stemcell: stemcell, VMType: p.c.config.VMType, Properties: p.c.config.VM, Env: env,
		Networks: networksOf([]manifest.NetworkSettings{network})}
	e := db.Event{Action: "create", ObjectType: "vm", Deployment: p.c.deployment}
	err = audited(ctx, p.run, e, func(end *db.Event) (err error) {
		end.ObjectName = vm.cid
		vm.client, err = p.d.launch(ctx, p.run, vm.cid, newGUID(), m, nil)
		return err
	})
	if err != nil {
		release()
		return nil, fmt.Errorf("create a compilation VM: %w", err)
	}
	return vm, nil
}

func (p *compilers) remove(ctx context.Context, vm *compiler) error {
	defer vm.release()
	e := db.Event{Action: "delete", ObjectType: "vm", ObjectName: vm.cid, Deployment: p.c.deployment}
	return audited(ctx, p.run, e, func(*db.Event) error {
		if err := p.d.cloud.DeleteVM(ctx, vm.cid); err != nil {
			return fmt.Errorf("delete compilation VM %s: %w", vm.cid, err)
		}
		return nil
	})
}

// close removes the VMs that are left.
func (p *compilers) close(ctx context.Context) error {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	return inParallel(ctx, len(idle), idle, p.remove)
}

// compileOn compiles a package on a VM and keeps the result in the cache.
func (d *Director) compileOn(ctx context.Context, client agentClient, r *requirement) error {
	var dependencies []agentclient.BlobRef
	for _, need := range r.needs {
		compiled, ok, err := d.compiled.Get(ctx, need.key)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("package %s, which %s needs, is no longer in the cache of compiled packages", need.pkg.Name, r.pkg.Name)
		}
		id, err := client.PutBlob(ctx, compiled.Path)
		if err != nil {
			return err
		}
		dependencies = append(dependencies, agentclient.BlobRef{Name: need.pkg.Name, Version: need.pkg.Fingerprint, SHA1: compiled.Digest, BlobstoreID: id})
	}
	source, err := d.releases.Path(r.pkg.Blob)
	if err != nil {
		return fmt.Errorf("source of package %s: %w", r.pkg.Name, err)
	}
	id, err := client.PutBlob(ctx, source)
	if err != nil {
		return err
	}
	result, err := client.CompilePackage(ctx,
		agentclient.BlobRef{Name: r.pkg.Name, Version: r.pkg.Fingerprint, SHA1: r.pkg.Digest, BlobstoreID: id}, dependencies)
	if err != nil {
		return err
	}
	if err := d.keepCompiled(ctx, client, r, result); err != nil {
		return err
	}
	for _, blob := range append(dependencies, result, agentclient.BlobRef{BlobstoreID: id}) {
		if err := client.DeleteBlob(ctx, blob.BlobstoreID); err != nil {
			return err
		}
	}
	return nil
}

// keepCompiled fetches a compiled package from the VM into the cache.
func (d *Director) keepCompiled(ctx context.Context, client agentClient, r *requirement, result agentclient.BlobRef) (err error) {
	dir, err := os.MkdirTemp(d.tmp, "compiled-")
	if err != nil {
		return fmt.Errorf("make room for package %s: %w", r.pkg.Name, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "package.tgz")
	if err := client.GetBlob(ctx, result.BlobstoreID, path); err != nil {
		return fmt.Errorf("fetch compiled package %s: %w", r.pkg.Name, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read compiled package %s: %w", r.pkg.Name, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := d.compiled.Put(ctx, r.key, f); err != nil {
		return fmt.Errorf("keep compiled package %s: %w", r.pkg.Name, err)
	}
	return nil
}

// compileFault words the failure of a packaging script.
func compileFault(ctx context.Context, r *requirement, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	fault := agentFault(ctx, db.Instance{Group: "compilation", ID: r.pkg.Name}, err)
	if task.CodeOf(fault) == codeRPCRemote {
		return task.Errorf(codeRPCRemote, "%s", strings.TrimSpace(fault.Error()))
	}
	return fmt.Errorf("compile package %s/%s: %w", r.pkg.Name, r.pkg.Fingerprint, fault)
}
