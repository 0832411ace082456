package operation

import (
	"context"
	"fmt"
	"sync"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// requirement is a package that must be there compiled for a stemcell.
type requirement struct {
	release  *release.Release
	pkg      release.Package
	stemcell db.Stemcell
	key      string // in the cache of compiled packages
	needs    []*requirement
}

// requirements collects what jobs need, each package once.
type requirements struct {
	byKey map[string]*requirement
	order []*requirement // each after what it needs
}

// add requires a package of a release, and all below it, for a stemcell.
func (r *requirements) add(rel *release.Release, name string, stemcell db.Stemcell) (*requirement, error) {
	key, err := rel.CompiledKey(name, stemcell.OS, stemcell.Version)
	if err != nil {
		return nil, err
	}
	if known := r.byKey[key]; known != nil {
		return known, nil
	}
	pkg, ok := rel.Package(name)
	if !ok {
		return nil, fmt.Errorf("release %s/%s has no package %s", rel.Name, rel.Version, name)
	}
	req := &requirement{release: rel, pkg: pkg, stemcell: stemcell, key: key}
	for _, dependency := range pkg.Dependencies {
		needed, err := r.add(rel, dependency, stemcell)
		if err != nil {
			return nil, err
		}
		req.needs = append(req.needs, needed)
	}
	if r.byKey == nil {
		r.byKey = map[string]*requirement{}
	}
	r.byKey[key] = req
	r.order = append(r.order, req)
	return req, nil
}

// compilation says where and how packages are compiled.
type compilation struct {
	deployment string
	config     manifest.Compilation
	cloud      *manifest.CloudConfig
}

// compileMissing compiles what the cache does not have yet.
func (d *Director) compileMissing(ctx context.Context, run *task.Run, c compilation, all requirements) error {
	var missing []*requirement
	err := run.Stage("Preparing package compilation", 1).Do("Finding packages to compile", func(*task.Step) (err error) {
		missing, err = d.uncompiled(ctx, all)
		return err
	})
	if err != nil || len(missing) == 0 {
		return err
	}
	stage := run.Stage("Compiling packages", len(missing))
	workers := min(max(1, c.config.Workers), len(missing))
	pool := &compilers{d: d, run: run, c: c, reuse: c.config.ReuseCompilationVMs}
	err = inOrderOfNeeds(ctx, workers, missing, func(ctx context.Context, r *requirement) error {
		return stage.Do(r.pkg.Name+"/"+r.pkg.Fingerprint, func(*task.Step) error { return pool.compile(ctx, r) })
	})
	if closeErr := pool.close(context.WithoutCancel(ctx)); err == nil {
		err = closeErr
	} else if closeErr != nil {
		run.Log().Error("remove compilation VMs", "error", closeErr)
	}
	return err
}

// uncompiled lists what must be compiled, each after what it needs. A package
// that is there needs nothing below it to be compiled.
func (d *Director) uncompiled(ctx context.Context, all requirements) ([]*requirement, error) {
	var missing []*requirement
	for _, r := range all.order {
		_, ok, err := d.compiled.Get(ctx, r.key)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, r)
		}
	}
	return missing, nil
}

// inOrderOfNeeds runs f for all requirements, each when those it needs are
// done, at most limit at a time. After an error nothing further is begun.
func inOrderOfNeeds(ctx context.Context, limit int, all []*requirement, f func(context.Context, *requirement) error) error {
	done := make(map[*requirement]chan struct{}, len(all))
	for _, r := range all {
		done[r] = make(chan struct{})
	}
	var once sync.Once
	failed := make(chan struct{})
	// Whoever waits has begun after those it waits for, as all is in order, so
	// the slots are never all held by those who wait.
	return inParallel(ctx, limit, all, func(ctx context.Context, r *requirement) error {
		for _, need := range r.needs {
			if done[need] == nil {
				continue // compiled before
			}
			select {
			case <-done[need]:
			case <-failed:
				return nil // the error is told by who met it
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if err := f(ctx, r); err != nil {
			once.Do(func() { close(failed) })
			return err
		}
		close(done[r])
		return nil
	})
}
