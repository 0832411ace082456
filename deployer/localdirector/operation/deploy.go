package operation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// Deploy makes the deployment what its manifest says. The manifest is kept
// only when all of it succeeded; what was done until a fault stays, and the
// next deploy goes on from there. Faults: as the director's, by code.
func (d *Director) Deploy(ctx context.Context, run *task.Run, r DeployRequest) (string, error) {
	document, err := manifest.Read(r.Manifest)
	if err != nil {
		return "", err
	}
	g := goal{
		deployment: document.Name(), document: document, cloudIDs: r.CloudConfigIDs, generate: true,
		recreate: r.Recreate, recreateDisks: r.RecreatePersistentDisks, fix: r.Fix, dryRun: r.DryRun,
		skipDrain: skipDrain(r.SkipDrain), options: manifest.Options{Canaries: r.Canaries, MaxInFlight: r.MaxInFlight},
	}
	return locked(ctx, run, g.deployment, func() (string, error) {
		if len(g.cloudIDs) == 0 {
			if g.cloudIDs, err = d.currentCloudConfigs(ctx); err != nil {
				return "", err
			}
		}
		// A delete that held the lock before took the row with it.
		created, err := d.db.EnsureDeployment(ctx, g.deployment, g.cloudIDs)
		if err != nil {
			return "", err
		}
		if err := d.warnOfWhatIsIgnored(ctx, run); err != nil {
			return "", err
		}
		action := "update"
		if r.New || created {
			action = "create"
		}
		return "/deployments/" + g.deployment, d.auditedConverge(ctx, run, action, g, string(r.Manifest))
	})
}

// warnOfWhatIsIgnored says so when there are runtime configs: they are kept,
// but the local director does not apply them.
func (d *Director) warnOfWhatIsIgnored(ctx context.Context, run *task.Run) error {
	configs, err := d.db.Configs(ctx, db.ConfigFilter{Type: "runtime", Latest: true})
	if err != nil {
		return err
	}
	for _, c := range configs {
		run.Warn(fmt.Sprintf("The runtime config '%s' is ignored: the local director applies the addons of manifests only.", c.Name))
	}
	return nil
}

// auditedConverge converges between two entries in the trail.
func (d *Director) auditedConverge(ctx context.Context, run *task.Run, action string, g goal, text string) error {
	e := db.Event{Action: action, ObjectType: "deployment", ObjectName: g.deployment, Deployment: g.deployment}
	return audited(ctx, run, e, func(end *db.Event) error {
		before, err := d.db.Deployment(ctx, g.deployment)
		if err != nil {
			return deploymentNotFound(g.deployment, err)
		}
		p, err := d.prepare(ctx, run, g)
		if err != nil {
			return err
		}
		defer p.release()
		releases, stemcells := p.uses()
		end.Context = eventContext(map[string]any{
			"before": usedNames(before.Releases, before.Stemcells), "after": usedNames(releases, stemcells),
		})
		if g.dryRun {
			return nil
		}
		return d.converge(ctx, run, p, text)
	})
}

func usedNames(releases, stemcells []db.NameVersion) map[string]any {
	out := map[string]any{}
	for key, list := range map[string][]db.NameVersion{"releases": releases, "stemcells": stemcells} {
		var names []string
		for _, v := range list {
			names = append(names, v.Name+"/"+v.Version)
		}
		if names != nil {
			out[key] = names
		}
	}
	return out
}

// converge carries out a plan. text is the manifest to keep when all of it
// succeeded.
func (d *Director) converge(ctx context.Context, run *task.Run, p *plan, text string) error {
	if err := d.recordPlan(ctx, p); err != nil {
		return err
	}
	c := compilation{deployment: p.manifest.Name, config: p.cloud.Compilation, cloud: p.cloud}
	if err := d.compileMissing(ctx, run, c, p.needs); err != nil {
		return err
	}
	for _, g := range p.groups {
		if err := d.resolveGroup(ctx, g); err != nil {
			return err
		}
	}
	if err := d.deleteUnneeded(ctx, run, p.obsolete, p.skipDrain, d.config.MaxThreads); err != nil {
		return err
	}
	if err := d.createMissingVMs(ctx, run, p.instances(serviceInstances)); err != nil {
		return err
	}
	for _, batch := range batches(p.groups, func(g *groupPlan) bool { return g.Update.Serial }) {
		limit := len(batch)
		if batch[0].Update.Serial {
			limit = 1
		}
		if err := inParallel(ctx, limit, batch, func(ctx context.Context, g *groupPlan) error {
			return d.updateGroup(ctx, run, g, p.deployment.Manifest == "")
		}); err != nil {
			return err
		}
	}
	if err := d.runPostDeploy(ctx, run, p); err != nil {
		return err
	}
	return d.saveDeployment(ctx, p, text)
}

// recordPlan gives new instances their rows, with the addresses that were held
// for them, and existing ones their place in the plan. The deployment's row
// names the releases and stemcells that are in use from now on, beside those
// that were.
func (d *Director) recordPlan(ctx context.Context, p *plan) error {
	releases, stemcells := p.uses()
	p.deployment.Releases = union(p.deployment.Releases, releases)
	p.deployment.Stemcells = union(p.deployment.Stemcells, stemcells)
	if err := d.db.SaveDeployment(ctx, p.deployment); err != nil {
		return err
	}
	for _, i := range p.instances(nil) {
		if i.row.Ignore {
			continue
		}
		if len(i.changes) == 0 && i.row.VM != nil {
			i.row.VM.VMType = i.want.spec.Machine.VMType // a name only
		}
		if err := d.db.PutInstance(ctx, i.row); err != nil {
			return err
		}
	}
	return nil
}

func union(a, b []db.NameVersion) []db.NameVersion {
	out := append([]db.NameVersion{}, a...)
	seen := map[db.NameVersion]bool{}
	for _, v := range a {
		seen[v] = true
	}
	for _, v := range b {
		if !seen[v] {
			out = append(out, v)
		}
	}
	return out
}

// instances lists the plan's instances of the groups that pass.
func (p *plan) instances(pass func(*groupPlan) bool) []*instancePlan {
	var out []*instancePlan
	for _, g := range p.groups {
		if pass == nil || pass(g) {
			out = append(out, g.instances...)
		}
	}
	return out
}

func serviceInstances(g *groupPlan) bool { return !g.Errand() }

// resolveGroup notes the digests of the group's compiled packages and stores
// the templates of its instances that will be touched.
func (d *Director) resolveGroup(ctx context.Context, g *groupPlan) error {
	for n := range g.packages {
		compiled, ok, err := d.compiled.Get(ctx, g.packages[n].Key)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("package %s was compiled but is not in the cache", g.packages[n].Name)
		}
		g.packages[n].Digest = compiled.Digest
	}
	for _, i := range g.touched() {
		i.want.spec.Packages = g.packages
		if err := d.archives.put(i.row.ID, i.want.spec.Templates.Digest, i.templates); err != nil {
			return err
		}
	}
	return nil
}

// createMissingVMs gives a VM to every instance that should have one and has
// none, all at the same time, and has it unpack what it will run, which would
// else take its time in each instance's turn.
func (d *Director) createMissingVMs(ctx context.Context, run *task.Run, instances []*instancePlan) error {
	var missing []*instancePlan
	for _, i := range instances {
		if !i.row.Ignore && i.want.state != db.StateDetached && i.missingVM(d.cloud) {
			missing = append(missing, i)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	stage := run.Stage("Creating missing vms", len(missing))
	return inParallel(ctx, d.config.MaxThreads, missing, func(ctx context.Context, i *instancePlan) error {
		return stage.Do(label(i.row), func(*task.Step) error {
			if err := d.dropVM(ctx, run, &i.row); err != nil {
				return err
			}
			if err := d.createVM(ctx, run, &i.row, i.want.spec); err != nil {
				return err
			}
			i.fresh = true
			if i.want.state != db.StateStarted {
				return nil
			}
			u := &instanceUpdate{d: d, run: run, p: i}
			return agentFault(ctx, i.row, u.prepare(ctx))
		})
	})
}

// updateGroup removes the group's instances that are too many and updates
// those that differ. initial: no deploy has succeeded yet.
func (d *Director) updateGroup(ctx context.Context, run *task.Run, g *groupPlan, initial bool) error {
	if len(g.obsolete) > 0 {
		g.changed = true
		if err := d.deleteUnneeded(ctx, run, g.obsolete, g.skipDrain, g.Update.MaxInFlightOf(len(g.obsolete)), g.Name); err != nil {
			return err
		}
	}
	instances := g.touched()
	if g.Errand() {
		instances = d.withLiveVM(instances) // others get their VM when the errand runs
	}
	if len(instances) == 0 {
		return nil
	}
	g.changed = true
	if g.Update.VMStrategy != "delete-create" && slices.ContainsFunc(instances, func(i *instancePlan) bool { return needsNewVM(i.changes) }) {
		run.Warn(fmt.Sprintf("Instance group '%s' asks for the vm_strategy '%s': the local director deletes a VM before it creates the next.",
			g.Name, g.Update.VMStrategy))
	}
	stage := run.Stage("Updating instance", len(instances), g.Name)
	for _, w := range waves(instances, zoneIn(g.Update, initial), g.Update) {
		if err := inParallel(ctx, w.limit, w.items, func(ctx context.Context, i *instancePlan) error {
			name := label(i.row)
			if w.canary {
				name += " (canary)"
			}
			return stage.Do(name, func(step *task.Step) error { return d.updateInstance(ctx, run, i, w.canary, step) })
		}); err != nil {
			return err
		}
	}
	return nil
}

func (d *Director) withLiveVM(instances []*instancePlan) []*instancePlan {
	var out []*instancePlan
	for _, i := range instances {
		if !i.missingVM(d.cloud) {
			out = append(out, i)
		}
	}
	return out
}

// runPostDeploy runs the post-deploy scripts of all started instances when any
// instance was touched.
func (d *Director) runPostDeploy(ctx context.Context, run *task.Run, p *plan) error {
	changed := false
	for _, g := range p.groups {
		changed = changed || g.changed
	}
	if !changed {
		return nil
	}
	return inParallel(ctx, d.config.MaxThreads, p.instances(serviceInstances), func(ctx context.Context, i *instancePlan) error {
		if i.row.Ignore || i.row.VM == nil || i.row.State != db.StateStarted {
			return nil
		}
		client, err := d.agentOf(run, i.row)
		if err == nil {
			err = client.RunScript(ctx, "post-deploy", nil)
		}
		return agentFault(ctx, i.row, err)
	})
}

// saveDeployment records that the deployment is what its manifest says.
func (d *Director) saveDeployment(ctx context.Context, p *plan, text string) error {
	links, err := json.Marshal(sharedProviders(p))
	if err != nil {
		return fmt.Errorf("encode the links of deployment %s: %w", p.manifest.Name, err)
	}
	dep := p.deployment
	dep.Manifest, dep.ResolvedManifest, dep.CloudConfigIDs, dep.Links = text, string(p.resolved.YAML()), p.cloudIDs, links
	dep.Releases, dep.Stemcells = p.uses()
	return d.db.SaveDeployment(context.WithoutCancel(ctx), dep)
}

func sharedProviders(p *plan) []manifest.Provider {
	out := []manifest.Provider{}
	for _, provider := range p.links.Providers {
		if provider.Shared {
			out = append(out, provider)
		}
	}
	return out
}
