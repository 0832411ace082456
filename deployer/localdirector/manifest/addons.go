package manifest

import "slices"

// addons adds the jobs of `addons` to the groups that they include. Filters by
// deployment belong into runtime configs, as on a real director.
func (p *parser) addons() error {
	for _, spec := range p.root.listOr("addons") {
		if err := p.addon(spec); err != nil {
			return err
		}
	}
	return p.root.err
}

func (p *parser) addon(spec any) error {
	r := read(spec)
	r.str("name")
	jobs, own := r.listOr("jobs"), r.hashOr("properties")
	include, err := parseFilter(r, "include")
	if err != nil {
		return err
	}
	exclude, err := parseFilter(r, "exclude")
	if err != nil {
		return err
	}
	if err := p.checkAddonJobs(jobs); err != nil {
		return err
	}
	for i := range p.m.InstanceGroups {
		g := &p.m.InstanceGroups[i]
		os := p.osOf(g.Stemcell)
		if !include.matches(g, os, true) || exclude.matches(g, os, false) {
			continue
		}
		for _, spec := range jobs {
			j, err := p.job(spec, g, own)
			if err != nil {
				return err
			}
			if _, taken := g.Job(j.Name); taken {
				return faultf(CodeGroupInvalidJobs, "Colocated job '%s' is already added to the instance group '%s'", j.Name, g.Name)
			}
			g.Jobs = append(g.Jobs, j)
		}
	}
	return nil
}

func (p *parser) checkAddonJobs(jobs []any) error {
	for _, spec := range jobs {
		j := read(spec)
		name, release := j.str("name"), j.str("release")
		if j.err != nil {
			return j.err
		}
		if _, ok := p.m.Release(release); !ok {
			return faultf(CodeAddonReleaseNotListed,
				"Manifest specifies job '%s' which is defined in '%s', but '%s' is not listed in the deployment releases section.", name, release, release)
		}
	}
	return nil
}

func (p *parser) osOf(alias string) string {
	s, ok := p.m.Stemcell(alias)
	if !ok {
		return ""
	}
	if s.OS != "" {
		return s.OS
	}
	if found, err := p.have.stemcell(*s); err == nil {
		return found.OS
	}
	return ""
}

// filter is an addon's `include` or `exclude`.
type filter struct {
	groups, networks, azs []string
	jobs                  [][2]string // name and release
	stemcells             []string    // operating systems
	lifecycle             string
}

func parseFilter(parent *reader, key string) (filter, error) {
	h := parent.hashOr(key)
	if h == nil {
		return filter{}, parent.err
	}
	r := read(h)
	deployments := r.strings("deployments")
	r.strings("teams") // deployment level addons take no notice of them
	f := filter{groups: r.strings("instance_groups"), networks: r.strings("networks"), azs: r.strings("azs"), lifecycle: r.strOr("lifecycle", "")}
	jobs, stemcells := r.listOr("jobs"), r.listOr("stemcell")
	if r.err != nil {
		return f, r.err
	}
	if len(deployments) > 0 {
		return f, faultf(CodeAddonDeploymentFilter, "Deployment filter is not allowed for deployment level addons.")
	}
	for _, spec := range jobs {
		j := read(spec)
		name, release := j.strOr("name", ""), j.strOr("release", "")
		if j.err != nil {
			return f, j.err
		}
		if name == "" || release == "" {
			return f, faultf(CodeAddonIncompleteJobFilter, "Job %s in deployment config's %s section must have both name and release.", inspect(spec), key)
		}
		f.jobs = append(f.jobs, [2]string{name, release})
	}
	for _, spec := range stemcells {
		s := read(spec)
		os := s.strOr("os", "")
		if s.err != nil {
			return f, s.err
		}
		if os == "" {
			return f, faultf(CodeAddonIncompleteStemcellFilter, "Stemcell %s in deployment config's %s section must have an os name.", inspect(spec), key)
		}
		f.stemcells = append(f.stemcells, os)
	}
	return f, nil
}

// matches tells whether the filter holds for a group; one that asks for
// nothing includes all and excludes none.
func (f filter) matches(g *InstanceGroup, os string, empty bool) bool {
	asked := false
	ask := func(asks, holds bool) bool {
		asked = asked || asks
		return !asks || holds
	}
	ok := ask(f.lifecycle != "", f.lifecycle == g.Lifecycle) &&
		ask(len(f.azs) > 0, anyIn(f.azs, g.AZs)) &&
		ask(len(f.stemcells) > 0, slices.Contains(f.stemcells, os)) &&
		ask(len(f.networks) > 0, slices.ContainsFunc(g.Networks, func(n GroupNetwork) bool { return slices.Contains(f.networks, n.Name) })) &&
		ask(len(f.groups) > 0, slices.Contains(f.groups, g.Name)) &&
		ask(len(f.jobs) > 0, slices.ContainsFunc(g.Jobs, func(j Job) bool { return slices.Contains(f.jobs, [2]string{j.Name, j.Release}) }))
	if !asked {
		return empty
	}
	return ok
}

func anyIn(wanted, have []string) bool {
	return slices.ContainsFunc(wanted, func(w string) bool { return slices.Contains(have, w) })
}
