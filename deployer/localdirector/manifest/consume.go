package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// consume resolves the links of a job. It returns a sentence for each that
// has no provider, or more than one.
func (in LinksInput) consume(g *InstanceGroup, job *Job, spec release.Job, own []Provider) (map[string]Link, []string) {
	links := map[string]Link{}
	var faults []string
	for _, wanted := range spec.Consumes {
		given, explicit := job.Consumes[wanted.Name]
		c := consumer{in: in, group: g.Name, job: job.Name, link: wanted, given: given, explicit: explicit}
		link, found, err := c.resolve(own)
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		if found {
			links[wanted.Name] = link
		}
	}
	return links, faults
}

// consumer is one link that a job wants.
type consumer struct {
	in         LinksInput
	group, job string
	link       release.ConsumedLink
	given      Consume
	explicit   bool // the manifest says something about it
}

// name is what the consumer asks for. Only the last part of a dotted name counts.
func (c consumer) name() string {
	if c.given.From == "" {
		return c.link.Name
	}
	return c.given.From[strings.LastIndex(c.given.From, ".")+1:]
}

func (c consumer) resolve(own []Provider) (Link, bool, error) {
	if c.given.Manual != nil {
		link, err := c.manual()
		return link, err == nil, err
	}
	found, err := c.candidates(own)
	if err != nil {
		return Link{}, false, err
	}
	if len(found) == 0 && c.link.Optional && (!c.explicit || c.given.Nil) {
		return Link{}, false, nil
	}
	if len(found) != 1 {
		return Link{}, false, c.unresolved(found)
	}
	link, err := c.view(found)
	return link, err == nil, err
}

// candidates are the providers of the link's type: with a name those of that
// name, without all of the deployment.
func (c consumer) candidates(own []Provider) ([]Provider, error) {
	if c.given.Nil {
		return nil, nil
	}
	providers := own
	foreign := c.given.Deployment != "" && c.given.Deployment != c.in.Manifest.Name
	if foreign {
		exists := false
		if c.in.Providers != nil {
			providers, exists = c.in.Providers(c.given.Deployment)
		}
		if !exists {
			return nil, faultf(CodeUnknown, "Link '%s' in job '%s' from instance group '%s' consumes from deployment '%s', but the deployment does not exist.",
				c.name(), c.job, c.group, c.given.Deployment)
		}
	}
	var found []Provider
	for _, p := range providers {
		if p.Type == c.link.Type && !p.Nil && (!c.explicit || p.As == c.name()) && (!foreign || p.Shared) {
			found = append(found, p)
		}
	}
	return found, nil
}

// view is what the job gets to see of its provider: addresses on one network.
func (c consumer) view(found []Provider) (Link, error) {
	link := found[0].Content
	network := link.DefaultNetwork
	if c.given.Network != "" {
		network = c.given.Network
		if !slices.Contains(link.Networks, network) {
			return link, c.unresolved(found)
		}
	}
	link.DefaultNetwork, link.Networks = network, nil
	link.Instances = slices.Clone(link.Instances)
	for i := range link.Instances {
		one := &link.Instances[i]
		address, ok := one.Addresses[network]
		if !ok {
			return link, faultf(CodeUnknown, "Provider link does not have network: '%s'", network)
		}
		one.Address, one.Addresses = address, nil
	}
	return link, nil
}

// manual is a link of which the manifest gives everything.
func (c consumer) manual() (Link, error) {
	m := c.given.Manual
	link := Link{
		DeploymentName: c.in.Manifest.Name,
		Domain:         RootDomain,
		GroupName:      c.link.Name + "-" + c.link.Type,
		Address:        m.Address,
		Instances:      []LinkInstance{},
		Properties:     m.Properties,
	}
	for _, given := range m.Instances {
		r := read(ordered(given))
		one := LinkInstance{
			Name: r.strOr("name", ""), ID: r.strOr("id", ""), Index: r.integerOr("index", 0),
			Bootstrap: r.boolOr("bootstrap", false), AZ: r.strOr("az", ""), Address: r.strOr("address", ""),
		}
		if r.err != nil {
			return link, faultf(CodeUnknown, "Manual link '%s' in job '%s' in instance group '%s': %s", c.link.Name, c.job, c.group, r.err)
		}
		link.Instances = append(link.Instances, one)
	}
	return link, nil
}

// unresolved says what was looked for and what was found instead.
func (c consumer) unresolved(found []Provider) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Failed to resolve link '%s' with ", c.link.Name)
	if c.name() != c.link.Name {
		fmt.Fprintf(&b, "alias '%s' and ", c.name())
	}
	fmt.Fprintf(&b, "type '%s' from job '%s' in instance group '%s'.", c.link.Type, c.job, c.group)
	if len(found) > 1 {
		b.WriteString(" Multiple link providers found:")
	} else {
		b.WriteString(" Details below:")
	}
	if len(found) == 0 {
		b.WriteString("\n    - No link providers found")
	}
	for _, p := range found {
		fmt.Fprintf(&b, "\n    - Link provider '%s' ", p.Name)
		if p.As != p.Name {
			fmt.Fprintf(&b, "with alias '%s' ", p.As)
		}
		fmt.Fprintf(&b, "from job '%s' in instance group '%s' in deployment '%s'", p.Job, p.Group, p.Deployment)
		if c.given.Network != "" {
			fmt.Fprintf(&b, " does not belong to network '%s'", c.given.Network)
		}
	}
	return faultf(CodeUnknown, "%s", b.String())
}
