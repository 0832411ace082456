package operation

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// bringUp starts an instance with the spec it was last given, in a VM of its
// own. It needs neither manifest nor configs.
func (d *Director) bringUp(ctx context.Context, run *task.Run, row *db.Instance, s spec, watch manifest.WatchTime) error {
	if err := d.recompile(ctx, run, row.Deployment, &s); err != nil {
		return err
	}
	if row.VM == nil {
		if err := d.createVM(ctx, run, row, s); err != nil {
			return err
		}
	}
	client, err := d.agentOf(run, *row)
	if err != nil {
		return err
	}
	blobs, err := d.upload(ctx, client, *row, s)
	if err != nil {
		return err
	}
	if err := client.Apply(ctx, s.applySpec(*row, blobs)); err != nil {
		return err
	}
	if err := forgetBlobs(ctx, client, blobs); err != nil {
		return err
	}
	return startJobs(ctx, client, *row, watch, nil)
}

// recompile makes sure that the packages of a spec are in the cache, which may
// have been emptied since.
func (d *Director) recompile(ctx context.Context, run *task.Run, deployment string, s *spec) error {
	var needs requirements
	for _, p := range s.Packages {
		if _, ok, err := d.compiled.Get(ctx, p.Key); err != nil {
			return err
		} else if ok {
			continue
		}
		rel, stemcell, err := d.sourcesOf(ctx, p, s.Machine.Stemcell)
		if err != nil {
			return err
		}
		if _, err := needs.add(rel, p.Name, stemcell); err != nil {
			return err
		}
	}
	if len(needs.order) > 0 {
		if err := d.compileAgain(ctx, run, deployment, needs); err != nil {
			return err
		}
	}
	for n := range s.Packages {
		compiled, ok, err := d.compiled.Get(ctx, s.Packages[n].Key)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("package %s has changed in its release since the instance got it: deploy again", s.Packages[n].Name)
		}
		s.Packages[n].Digest = compiled.Digest
	}
	return nil
}

func (d *Director) sourcesOf(ctx context.Context, p packageRef, stemcell db.NameVersion) (*release.Release, db.Stemcell, error) {
	rel, err := d.db.Release(ctx, p.Release.Name, p.Release.Version)
	if err != nil {
		return nil, db.Stemcell{}, fmt.Errorf("compile package %s again: %w", p.Name, err)
	}
	found, err := d.db.Stemcell(ctx, stemcell.Name, stemcell.Version)
	if err != nil {
		return nil, db.Stemcell{}, fmt.Errorf("compile package %s again: %w", p.Name, err)
	}
	return &rel, found, nil
}

// compileAgain compiles with the cloud configs that are current now.
func (d *Director) compileAgain(ctx context.Context, run *task.Run, deployment string, needs requirements) error {
	ids, err := d.currentCloudConfigs(ctx)
	if err != nil {
		return err
	}
	var p plan
	if err := d.parseCloudConfig(ctx, run.Redact, goal{cloudIDs: ids}, &p, variableStore{db: d.db}); err != nil {
		return err
	}
	return d.compileMissing(ctx, run, compilation{deployment: deployment, config: p.cloud.Compilation, cloud: p.cloud}, needs)
}

// revive gives an instance whose VM is dead or hung a new one with its disk,
// and starts its jobs. The row tells whether the instance was complete; after a
// fault it says the same again.
func (d *Director) revive(ctx context.Context, run *task.Run, row db.Instance) error {
	s, err := decodeSpec(row.Spec)
	if err != nil {
		return fmt.Errorf("instance %s: %w", row.Name(), err)
	}
	if s == nil {
		return fmt.Errorf("instance %s was never given a VM", row.Name())
	}
	complete := row.UpdateCompleted
	err = audited(ctx, run, instanceEvent(actionRecreate, row), func(*db.Event) error {
		if err := d.deleteVM(ctx, run, &row); err != nil {
			return err
		}
		// Nothing about the jobs is new: they run as soon as they say so.
		watch := manifest.WatchTime{Max: s.Update.UpdateWatchTime.Max}
		return agentFault(ctx, row, d.bringUp(ctx, run, &row, *s, watch))
	})
	row.UpdateCompleted = err == nil || complete
	return errors.Join(err, d.db.PutInstance(context.WithoutCancel(ctx), row))
}
