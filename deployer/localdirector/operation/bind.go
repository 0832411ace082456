package operation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// bind connects the manifest with what there is: uploads, rows, agents,
// addresses and links. The plan's release is to be called also after a fault.
func (d *Director) bind(ctx context.Context, g goal, p *plan) error {
	instances, err := d.observeDeployment(ctx, g.deployment)
	if err != nil {
		return err
	}
	if err := d.askAgents(ctx, instances, g.fix); err != nil {
		return err
	}
	if err := d.bindGroups(ctx, p); err != nil {
		return err
	}
	planned, err := d.placeInstances(ctx, p, instances)
	if err != nil {
		return err
	}
	if err := p.bindInstances(g, planned, instances); err != nil {
		return err
	}
	p.links, err = manifest.Links(manifest.LinksInput{
		Manifest: p.manifest, Plan: planned, Job: p.job, Providers: d.providers(ctx),
	})
	return err
}

// bindGroups finds the stemcells, jobs and packages of the instance groups.
func (d *Director) bindGroups(ctx context.Context, p *plan) error {
	for _, r := range p.manifest.Releases {
		found, err := d.db.Release(ctx, r.Name, r.Version)
		if err != nil {
			return err
		}
		p.releases[r.Name] = &found
	}
	for i := range p.manifest.InstanceGroups {
		g := &groupPlan{InstanceGroup: &p.manifest.InstanceGroups[i], skipDrain: p.skipDrain}
		wanted, ok := p.manifest.Stemcell(g.Stemcell)
		if !ok {
			return fmt.Errorf("instance group %s: unknown stemcell %s", g.Name, g.Stemcell)
		}
		var err error
		if g.stemcell, err = d.db.Stemcell(ctx, wanted.Name, wanted.Version); err != nil {
			return err
		}
		if err := g.bindJobs(p); err != nil {
			return err
		}
		if disk := g.PersistentDisk; disk != nil {
			g.disk = &diskSpec{SizeMiB: disk.SizeMiB}
			if g.disk.Properties, err = canonicalJSON(disk.CloudProperties); err != nil {
				return fmt.Errorf("encode the disk of instance group %s: %w", g.Name, err)
			}
		}
		p.groups = append(p.groups, g)
	}
	return nil
}

// bindJobs finds the group's jobs in their releases, and what they need.
func (g *groupPlan) bindJobs(p *plan) error {
	from := map[string]*requirement{}
	for _, j := range g.Jobs {
		spec, err := p.job(j.Release, j.Name)
		if err != nil {
			return err
		}
		rel := p.releases[j.Release]
		g.jobs = append(g.jobs, plannedJob{Job: j, release: rel, spec: spec})
		for _, name := range spec.Packages {
			needed, err := p.needs.add(rel, name, g.stemcell)
			if err != nil {
				return err
			}
			if other := from[name]; other != nil && other.key != needed.key {
				return task.Errorf(codePackageCollision, "Package name collision detected in instance group '%s': "+
					"release '%s' and release '%s' have different packages '%s'. "+
					"BOSH cannot currently collocate two packages with identical names and different fingerprints or dependencies.",
					g.Name, other.release.Name, rel.Name, name)
			}
			from[name] = needed
		}
	}
	for name, needed := range from {
		g.packages = append(g.packages, packageRef{Name: name, Version: needed.pkg.Fingerprint, Key: needed.key,
			Release: db.NameVersion{Name: needed.release.Name, Version: needed.release.Version}})
	}
	slices.SortFunc(g.packages, func(a, b packageRef) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// job finds a job of a release of the manifest.
func (p *plan) job(releaseName, name string) (release.Job, error) {
	rel := p.releases[releaseName]
	if rel == nil {
		return release.Job{}, fmt.Errorf("job %s: release %s is not in the manifest", name, releaseName)
	}
	job, ok := rel.Job(name)
	if !ok {
		return release.Job{}, task.Errorf(codeReleaseMissingJob, "Job '%s' doesn't exist in release '%s/%s'", name, rel.Name, rel.Version)
	}
	return job, nil
}

// placeInstances plans instances and holds their addresses.
func (d *Director) placeInstances(ctx context.Context, p *plan, instances []*observed) (*manifest.DeploymentPlan, error) {
	in := manifest.PlanInput{Manifest: p.manifest, Cloud: p.cloud, NewID: newGUID}
	for _, o := range instances {
		e, err := o.existing()
		if err != nil {
			return nil, err
		}
		in.Existing = append(in.Existing, e)
	}
	var planned *manifest.DeploymentPlan
	release, err := d.addresses.choose(ctx, p.manifest.Name, func(taken []manifest.Reservation) ([]manifest.Reservation, error) {
		in.Taken = taken
		var err error
		if planned, err = manifest.Plan(in); err != nil {
			return nil, err
		}
		return reservations(planned), nil
	})
	if err != nil {
		return nil, err
	}
	p.release = release
	return planned, nil
}

// bindInstances pairs planned instances with what there is of them.
func (p *plan) bindInstances(g goal, planned *manifest.DeploymentPlan, instances []*observed) error {
	byID := map[string]*observed{}
	for _, o := range instances {
		byID[o.row.ID] = o
	}
	for _, group := range p.groups {
		list, ok := planned.Group(group.Name)
		if !ok {
			return fmt.Errorf("instance group %s was not planned", group.Name)
		}
		for _, i := range list.Instances {
			o := byID[i.ID]
			if o == nil {
				o = &observed{row: db.Instance{ID: i.ID, Deployment: p.manifest.Name, State: db.StateStarted}}
			}
			one, err := group.bindInstance(g, i, o)
			if err != nil {
				return err
			}
			group.instances = append(group.instances, one)
		}
	}
	for _, gone := range planned.Obsolete {
		o := byID[gone.ID]
		if group := p.group(gone.Group); group != nil {
			group.obsolete = append(group.obsolete, o)
		} else {
			p.obsolete = append(p.obsolete, o)
		}
	}
	return nil
}

func (g *groupPlan) bindInstance(goal goal, i manifest.Instance, o *observed) (*instancePlan, error) {
	row := o.row
	row.Group, row.Index, row.AZ, row.Bootstrap, row.Lifecycle = g.Name, i.Index, i.AZ, i.Bootstrap, g.Lifecycle
	machine, err := g.machine(i)
	if err != nil {
		return nil, err
	}
	networks, err := json.Marshal(machine.Networks)
	if err != nil {
		return nil, fmt.Errorf("encode the networks of %s: %w", row.Name(), err)
	}
	row.Networks = networks
	if row.VM == nil {
		row.IPs = machine.ips()
	}
	one := &instancePlan{planned: i, is: *o, row: row, want: goal.want(row), skipDrain: goal.skipDrain.of(g.Name),
		wasComplete: row.UpdateCompleted}
	one.want.group, one.want.disk = g.Name, g.disk
	one.want.spec = spec{Machine: machine, Packages: g.packages, Update: g.Update}
	for _, j := range g.jobs {
		one.want.spec.Jobs = append(one.want.spec.Jobs, jobRef{Name: j.Name, Version: j.spec.Version})
	}
	return one, nil
}

func (p *plan) group(name string) *groupPlan {
	for _, g := range p.groups {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// decodeNetworks reads the networks that were planned for an instance.
func decodeNetworks(row db.Instance) ([]networkSpec, error) {
	if len(row.Networks) == 0 {
		return nil, nil
	}
	var out []networkSpec
	if err := json.Unmarshal(row.Networks, &out); err != nil {
		return nil, fmt.Errorf("read the networks of %s: %w", row.Name(), err)
	}
	return out, nil
}

// providers looks up what other deployments offered after their last deploy.
func (d *Director) providers(ctx context.Context) func(string) ([]manifest.Provider, bool) {
	return func(deployment string) ([]manifest.Provider, bool) {
		other, err := d.db.Deployment(ctx, deployment)
		if err != nil {
			return nil, false
		}
		var out []manifest.Provider
		if len(other.Links) > 0 {
			if err := json.Unmarshal(other.Links, &out); err != nil {
				d.log.Error("read the links of a deployment", "deployment", deployment, "error", err)
				return nil, false
			}
		}
		return out, true
	}
}
