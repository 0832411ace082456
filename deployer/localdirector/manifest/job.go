package manifest

import (
	"slices"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

func (p *parser) groupJobs(r *reader, g *InstanceGroup) error {
	specs, own := r.list("jobs"), r.hashOr("properties")
	if r.err != nil {
		return r.err
	}
	inherited := mergeHashes(p.globals, own)
	for _, spec := range specs {
		j, err := p.job(spec, g, inherited)
		if err != nil {
			return err
		}
		g.Jobs = append(g.Jobs, j)
	}
	for i, j := range g.Jobs {
		if slices.ContainsFunc(g.Jobs[:i], func(o Job) bool { return o.Name == j.Name }) {
			return faultf(CodeGroupInvalidJobs, "Colocated job '%s' is already added to the instance group '%s'", j.Name, g.Name)
		}
	}
	return nil
}

// job reads one job of a group. A job without properties of its own has the
// group's and the deployment's.
func (p *parser) job(spec any, g *InstanceGroup, inherited *hash) (Job, error) {
	r := read(spec)
	j := Job{Name: r.str("name"), Release: r.str("release")}
	if r.err != nil {
		return j, r.err
	}
	release, ok := p.m.Release(j.Release)
	if !ok {
		return j, faultf(CodeGroupUnknownRelease, "Job '%s' (instance group '%s') references an unknown release '%s'", j.Name, g.Name, j.Release)
	}
	version, err := p.have.release(release.Name, release.Version)
	if err != nil {
		return j, err
	}
	if version.Jobs != nil && !slices.Contains(version.Jobs, j.Name) {
		return j, faultf(CodeReleaseMissingJob, "Job '%s' not found in release '%s'", j.Name, release.Name)
	}
	if own := r.hashOr("properties"); own != nil {
		inherited = own
	}
	if r.err != nil {
		return j, r.err
	}
	j.Properties = plainMap(inherited)
	return j, parseJobLinks(r, g.Name, &j)
}

// mergeHashes merges deeply; the second one wins.
func mergeHashes(a, b *hash) *hash {
	out := psych.NewHash(0)
	for _, h := range []*hash{a, b} {
		if h == nil {
			continue
		}
		for _, k := range h.Keys {
			have, ok1 := get(out, k)
			add, ok2 := get(h, k)
			old, isHash1 := have.(*hash)
			new, isHash2 := add.(*hash)
			if ok1 && ok2 && isHash1 && isHash2 {
				out.Set(k, mergeHashes(old, new))
				continue
			}
			out.Set(k, h.Values[k])
		}
	}
	return out
}
