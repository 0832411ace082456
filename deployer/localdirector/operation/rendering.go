package operation

import (
	"context"
	"fmt"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/render"
)

// renderGroups renders the templates of instances, and then knows what
// differs: of the groups that pass, or of all that are not an errand's. Errand
// instances that have a VM are kept up to date like the others.
func (d *Director) renderGroups(ctx context.Context, p *plan, pass func(*groupPlan) bool) error {
	sources := map[string]*release.JobSource{}
	request := render.Request{Secrets: p.secrets}
	var instances []*instancePlan
	for _, group := range p.groups {
		if pass != nil && !pass(group) {
			continue
		}
		for _, i := range group.instances {
			if i.row.Ignore || (pass == nil && group.Errand() && !i.is.hasVM()) {
				continue
			}
			in, err := d.renderInput(ctx, p, group, i, sources)
			if err != nil {
				return err
			}
			request.Instances = append(request.Instances, in)
			instances = append(instances, i)
		}
	}
	if len(instances) == 0 {
		return nil
	}
	rendered, err := d.renderer.Render(ctx, request)
	if err != nil {
		return err
	}
	for n, i := range instances {
		i.want.spec.Templates = templatesRef{ConfigurationHash: rendered[n].ConfigurationHash, Digest: rendered[n].ArchiveDigest}
		i.templates = rendered[n].Archive
		i.changes = changes(i.is, i.want)
	}
	return nil
}

func (d *Director) renderInput(ctx context.Context, p *plan, g *groupPlan, i *instancePlan, sources map[string]*release.JobSource) (render.Instance, error) {
	in := render.Instance{Group: g.Name}
	for _, j := range g.jobs {
		key := j.release.Name + "/" + j.Name
		if sources[key] == nil {
			source, err := d.releases.JobSource(ctx, j.spec)
			if err != nil {
				return in, fmt.Errorf("read job %s: %w", key, err)
			}
			sources[key] = source
		}
		from, _ := p.manifest.Release(j.Release)
		in.Jobs = append(in.Jobs, render.Job{
			Source: sources[key],
			Spec: manifest.InstanceSpec(manifest.SpecInput{
				Deployment: p.manifest.Name, Group: g.InstanceGroup, Instance: &i.planned, Release: from,
			}),
			Properties: j.Properties,
			Links:      p.links.Of(g.Name, j.Name),
		})
	}
	return in, nil
}
