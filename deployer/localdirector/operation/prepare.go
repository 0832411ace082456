package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/variables"
)

// prepare finds out what the deployment should be and how it differs from what
// is. It changes nothing but variables, which it generates, and holds the
// addresses of new instances: call the plan's release when they are in rows or
// not needed.
func (d *Director) prepare(ctx context.Context, run *task.Run, g goal) (*plan, error) {
	p, err := d.parse(ctx, run.Redact, g)
	if err != nil {
		return nil, err
	}
	stage := run.Stage("Preparing deployment", 1)
	err = stage.Do("Preparing deployment", func(*task.Step) error { return d.bind(ctx, g, p) })
	if err == nil {
		err = stage.Do("Rendering templates", func(*task.Step) error { return d.renderGroups(ctx, p, nil) })
	}
	if err != nil {
		p.release()
		return nil, err
	}
	for _, group := range p.groups {
		for _, i := range group.touched() {
			run.Log().Info("instance differs", "instance", i.row.Name(), "changes", i.changes)
		}
	}
	return p, nil
}

// parse reads the manifest and the configs it is to be read with. The values
// of variables are told to redact.
func (d *Director) parse(ctx context.Context, redact func(...string), g goal) (*plan, error) {
	deployment, err := d.db.Deployment(ctx, g.deployment)
	if err != nil {
		return nil, deploymentNotFound(g.deployment, err)
	}
	p := &plan{deployment: deployment, skipDrain: g.skipDrain, releases: map[string]*release.Release{}, release: func() {}}
	store := variableStore{db: d.db, deployment: g.deployment}
	if err := d.parseCloudConfig(ctx, redact, g, p, store); err != nil {
		return nil, err
	}
	scope := variables.Scope{Director: d.config.Name, Deployment: g.deployment}
	if g.generate {
		vars, err := g.document.Variables()
		if err != nil {
			return nil, err
		}
		if _, err := variables.Ensure(ctx, store, scope, vars); err != nil {
			return nil, err
		}
	}
	filled, err := variables.Interpolate(ctx, store, scope, g.document)
	if err != nil {
		return nil, err
	}
	redact(filled.Secrets...)
	p.secrets = append(p.secrets, filled.Secrets...)
	have, err := d.available(ctx)
	if err != nil {
		return nil, err
	}
	if p.resolved, err = g.document.Resolved(have); err != nil {
		return nil, err
	}
	p.manifest, err = manifest.Parse(filled.Document, p.cloud, have, g.options)
	return p, err
}

func (d *Director) parseCloudConfig(ctx context.Context, redact func(...string), g goal, p *plan, store variableStore) error {
	p.cloudIDs = g.cloudIDs
	var documents []*manifest.Document
	for _, id := range g.cloudIDs {
		config, err := d.db.Config(ctx, id)
		if err != nil {
			return fmt.Errorf("find the cloud config to deploy with: %w", err)
		}
		document, err := manifest.ReadConfig([]byte(config.Content))
		if err != nil {
			return err
		}
		documents = append(documents, document)
	}
	merged, err := manifest.MergeConfigs(documents...)
	if err != nil {
		return err
	}
	filled, err := variables.Interpolate(ctx, store, variables.Scope{Director: d.config.Name}, merged)
	if err != nil {
		return err
	}
	redact(filled.Secrets...)
	p.secrets = append(p.secrets, filled.Secrets...)
	p.cloud, err = manifest.ParseCloudConfig(filled.Document)
	return err
}

// currentCloudConfigs are the ids of the latest cloud configs of all names.
func (d *Director) currentCloudConfigs(ctx context.Context) ([]int64, error) {
	configs, err := d.db.Configs(ctx, db.ConfigFilter{Type: "cloud", Latest: true})
	if err != nil {
		return nil, err
	}
	ids := make([]int64, 0, len(configs))
	for _, c := range configs {
		ids = append(ids, c.ID)
	}
	return ids, nil
}

// available lists the uploaded releases and stemcells.
func (d *Director) available(ctx context.Context) (manifest.Available, error) {
	var have manifest.Available
	releases, err := d.db.Releases(ctx)
	if err != nil {
		return have, err
	}
	for _, r := range releases {
		v := manifest.ReleaseVersion{Name: r.Name, Version: r.Version, Jobs: []string{}}
		for _, j := range r.Jobs {
			v.Jobs = append(v.Jobs, j.Name)
		}
		have.Releases = append(have.Releases, v)
	}
	stemcells, err := d.db.Stemcells(ctx)
	if err != nil {
		return have, err
	}
	for _, s := range stemcells {
		have.Stemcells = append(have.Stemcells, manifest.StemcellVersion{Name: s.Name, OS: s.OS, Version: s.Version})
	}
	return have, nil
}

// uses lists the releases and stemcells of the plan for the deployment's row.
func (p *plan) uses() (releases, stemcells []db.NameVersion) {
	for _, r := range p.manifest.Releases {
		releases = append(releases, db.NameVersion{Name: r.Name, Version: r.Version})
	}
	for _, s := range p.manifest.Stemcells {
		stemcells = append(stemcells, db.NameVersion{Name: s.Name, Version: s.Version})
	}
	byName := func(a, b db.NameVersion) int { return strings.Compare(a.Name+"/"+a.Version, b.Name+"/"+b.Version) }
	slices.SortFunc(releases, byName)
	slices.SortFunc(stemcells, byName)
	return slices.Compact(releases), slices.Compact(stemcells)
}

// variableStore keeps the variables of one deployment in the database.
type variableStore struct {
	db         *db.DB
	deployment string
}

// GetVariable implements variables.Store.
func (s variableStore) GetVariable(ctx context.Context, name string) (variables.Stored, bool, error) {
	v, err := s.db.Variable(ctx, name)
	if errors.Is(err, db.ErrNotFound) {
		return variables.Stored{}, false, nil
	}
	return variables.Stored{ID: v.ID, Name: v.Name, Type: v.Type, Options: v.Options, Value: v.Value}, err == nil, err
}

// PutVariable implements variables.Store.
func (s variableStore) PutVariable(ctx context.Context, v variables.Stored) (variables.Stored, error) {
	v.ID = newGUID()
	err := s.db.PutVariable(ctx, db.Variable{ID: v.ID, Name: v.Name, Deployment: s.deployment, Type: v.Type, Options: v.Options, Value: v.Value})
	return v, err
}
