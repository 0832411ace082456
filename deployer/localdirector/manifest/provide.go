package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// provided lists the links that a job provides, by its spec and by the
// manifest's custom definitions.
func (in LinksInput) provided(g *InstanceGroup, job *Job, spec release.Job) ([]Provider, error) {
	var out []Provider
	var faults []string
	for _, c := range job.Custom {
		if slices.ContainsFunc(spec.Provides, func(p release.ProvidedLink) bool { return p.Name == c.Name }) {
			faults = append(faults, fmt.Sprintf("Custom provider '%s' in job '%s' in instance group '%s' is already defined in release '%s'",
				c.Name, job.Name, g.Name, job.Release))
		}
	}
	for _, p := range slices.Concat(spec.Provides, job.Custom) {
		properties, wrong := linkProperties(p, job, spec)
		faults = append(faults, wrong...)
		as := job.Provides[p.Name]
		provider := Provider{
			Deployment: in.Manifest.Name, Group: g.Name, Job: job.Name,
			Name: p.Name, As: as.As, Type: p.Type, Shared: as.Shared, Nil: as.Nil,
		}
		if provider.As == "" {
			provider.As = p.Name
		}
		provider.Content = in.content(g, &provider, properties)
		out = append(out, provider)
	}
	if len(faults) > 0 {
		return nil, faultf(CodeUnknown, "%s", strings.Join(faults, "\n"))
	}
	return out, nil
}

func (in LinksInput) content(g *InstanceGroup, p *Provider, properties map[string]any) Link {
	l := Link{
		DeploymentName: p.Deployment,
		Domain:         RootDomain,
		InstanceGroup:  g.Name,
		GroupName:      p.As + "-" + p.Type,
		Instances:      []LinkInstance{},
		Properties:     properties,
	}
	for i := range g.Networks {
		l.Networks = append(l.Networks, g.Networks[i].Name)
	}
	l.DefaultNetwork = g.defaultNetwork()
	planned, ok := in.Plan.Group(g.Name)
	if !ok {
		return l
	}
	for n := range planned.Instances {
		i := &planned.Instances[n]
		one := LinkInstance{Name: g.Name, ID: i.ID, Index: i.Index, Bootstrap: i.Bootstrap, AZ: i.AZ, Addresses: map[string]string{}}
		for _, s := range i.Networks {
			one.Addresses[s.Network] = s.IP.String()
		}
		one.Address = one.Addresses[l.DefaultNetwork]
		l.Instances = append(l.Instances, one)
	}
	return l
}

// defaultNetwork is the network whose addresses the group is known by.
func (g *InstanceGroup) defaultNetwork() string {
	for _, what := range []string{"addressable", "gateway"} {
		if n, ok := find(g.Networks, func(n *GroupNetwork) bool { return slices.Contains(n.Default, what) }); ok {
			return n.Name
		}
	}
	return ""
}

// linkProperties picks the properties that a link shows: as the manifest gives
// them, else the job's defaults.
func linkProperties(p release.ProvidedLink, job *Job, spec release.Job) (map[string]any, []string) {
	out := map[string]any{}
	var faults []string
	for _, name := range p.Properties {
		path := strings.Split(name, ".")
		if v, ok := dig(job.Properties, path); ok {
			bury(out, path, v)
			continue
		}
		declared, ok := spec.Properties[name]
		if !ok {
			faults = append(faults, fmt.Sprintf("Link property %s in template %s is not defined in release spec", name, job.Name))
			continue
		}
		bury(out, path, declared.Default)
	}
	return out, faults
}

func dig(tree map[string]any, path []string) (any, bool) {
	v, ok := tree[path[0]]
	if !ok || len(path) == 1 {
		return v, ok
	}
	below, isMap := v.(map[string]any)
	if !isMap {
		return nil, false
	}
	return dig(below, path[1:])
}

func bury(tree map[string]any, path []string, v any) {
	for ; len(path) > 1; path = path[1:] {
		below, ok := tree[path[0]].(map[string]any)
		if !ok {
			below = map[string]any{}
			tree[path[0]] = below
		}
		tree = below
	}
	tree[path[0]] = v
}
