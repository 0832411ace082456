package manifest

import (
	"fmt"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// parseJobLinks reads `provides`, `consumes` and `custom_provider_definitions`
// of a job. All that is wrong with them is said in one fault.
func parseJobLinks(r *reader, group string, j *Job) error {
	provides, consumes, custom := r.hashOr("provides"), r.hashOr("consumes"), r.listOr("custom_provider_definitions")
	if r.err != nil {
		return r.err
	}
	where := fmt.Sprintf("in job '%s' in instance group '%s'", j.Name, group)
	var faults []string
	j.Custom, faults = parseCustomProviders(custom, where)
	j.Provides = map[string]Provide{}
	j.Consumes = map[string]Consume{}
	if provides != nil {
		for _, name := range provides.Keys {
			one, wrong := parseProvide(provides.Values[name], name, where)
			j.Provides[name] = one
			faults = append(faults, wrong...)
		}
	}
	if consumes != nil {
		for _, name := range consumes.Keys {
			one, wrong := parseConsume(consumes.Values[name], name, where)
			j.Consumes[name] = one
			faults = append(faults, wrong...)
		}
	}
	if len(faults) > 0 {
		return faultf(CodeUnknown, "%s", strings.Join(faults, "\n"))
	}
	return nil
}

func parseCustomProviders(list []any, where string) ([]release.ProvidedLink, []string) {
	var out []release.ProvidedLink
	var faults []string
	seen := map[string]bool{}
	for _, spec := range list {
		r := read(spec)
		s := release.ProvidedLink{Name: r.strOr("name", ""), Type: r.strOr("type", ""), Properties: r.strings("properties")}
		if s.Name == "" || r.err != nil {
			faults = append(faults, fmt.Sprintf("Name for custom link provider definition in manifest %s must be a valid non-empty string.", where))
			continue
		}
		if s.Type == "" {
			faults = append(faults, fmt.Sprintf("Type for custom link provider definition in manifest %s must be a valid non-empty string.", where))
		}
		if seen[s.Name] {
			faults = append(faults, fmt.Sprintf("Custom provider '%s' %s is defined multiple times in manifest.", s.Name, where))
		}
		seen[s.Name] = true
		out = append(out, s)
	}
	return out, faults
}

func parseProvide(spec any, name, where string) (Provide, []string) {
	v := open(spec)
	if v == "nil" {
		return Provide{Nil: true}, nil
	}
	h, ok := v.(*hash)
	if !ok {
		return Provide{}, []string{fmt.Sprintf("Provider '%s' %s specified in the manifest should only be a hash or string 'nil'", name, where)}
	}
	if h.Has("name") || h.Has("type") {
		return Provide{}, []string{nameOrType(name, where)}
	}
	r := read(h)
	p := Provide{As: r.strOr("as", "")}
	if shared, _ := get(h, "shared"); shared == true {
		p.Shared = true
	}
	if r.err != nil {
		return p, []string{r.err.Error()}
	}
	return p, nil
}

func nameOrType(name, where string) string {
	return fmt.Sprintf("Cannot specify 'name' or 'type' properties in the manifest for link '%s' %s. Please provide these keys in the release only.", name, where)
}

func parseConsume(spec any, name, where string) (Consume, []string) {
	v := open(spec)
	if v == "nil" {
		return Consume{Nil: true}, nil
	}
	h, ok := v.(*hash)
	if !ok {
		return Consume{}, []string{fmt.Sprintf("Consumer '%s' %s specified in the manifest should only be a hash or string 'nil'", name, where)}
	}
	var faults []string
	for _, key := range []string{"instances", "properties"} {
		if h.Has(key) && h.Has("from") {
			faults = append(faults, fmt.Sprintf("Cannot specify both '%s' and 'from' keys for link '%s' %s.", key, name, where))
		}
	}
	if h.Has("properties") && !h.Has("instances") {
		faults = append(faults, fmt.Sprintf("Cannot specify 'properties' without 'instances' for link '%s' %s.", name, where))
	}
	if ip, given := get(h, "ip_addresses"); given && ip != true && ip != false {
		faults = append(faults, fmt.Sprintf("Cannot specify non boolean values for 'ip_addresses' field for link '%s' %s.", name, where))
	}
	if h.Has("name") || h.Has("type") {
		faults = append(faults, nameOrType(name, where))
	}
	r := read(h)
	c := Consume{From: r.strOr("from", ""), Deployment: r.strOr("deployment", ""), Network: r.strOr("network", "")}
	if h.Has("instances") || h.Has("properties") || h.Has("address") {
		c.Manual = &ManualLink{Address: r.strOr("address", ""), Properties: plainMap(r.hashOr("properties"))}
		for _, i := range r.listOr("instances") {
			c.Manual.Instances = append(c.Manual.Instances, psych.Plain(i, open))
		}
	}
	if r.err != nil {
		faults = append(faults, r.err.Error())
	}
	return c, faults
}
