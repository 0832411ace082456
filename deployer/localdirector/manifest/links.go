package manifest

import (
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// RootDomain is the domain of BOSH's DNS names. The local director serves no
// DNS, but templates may ask for the name.
const RootDomain = "bosh"

// Link is the content of a link: what a template gets from link("name"). Its
// JSON form is the director's.
type Link struct {
	DeploymentName string         `json:"deployment_name"`
	Domain         string         `json:"domain"`
	DefaultNetwork string         `json:"default_network"`
	Networks       []string       `json:"networks,omitempty"`
	InstanceGroup  string         `json:"instance_group"`
	GroupName      string         `json:"group_name"`
	Address        string         `json:"address,omitempty"` // given by manual links only
	Instances      []LinkInstance `json:"instances"`
	Properties     map[string]any `json:"properties"`
}

// LinkInstance is one instance behind a link.
type LinkInstance struct {
	Name      string            `json:"name"`
	ID        string            `json:"id"`
	Index     int               `json:"index"`
	Bootstrap bool              `json:"bootstrap"`
	AZ        string            `json:"az"`
	Address   string            `json:"address"`
	Addresses map[string]string `json:"addresses,omitempty"` // by network; only in what is provided, not in what a job gets
}

// Provider is a link that a job of a deployment provides. Its content may
// carry secrets among the properties.
type Provider struct {
	Deployment string `json:"deployment"`
	Group      string `json:"group"`
	Job        string `json:"job"`
	Name       string `json:"name"` // in the job's spec
	As         string `json:"as"`   // what consumers ask for
	Type       string `json:"type"`
	Shared     bool   `json:"shared"` // other deployments may consume it
	Nil        bool   `json:"nil"`    // nobody may
	Content    Link   `json:"content"`
}

// LinksInput is what Links looks at.
type LinksInput struct {
	Manifest *Manifest
	Plan     *DeploymentPlan
	// Job returns a job of a release of the manifest.
	Job func(release, job string) (release.Job, error)
	// Providers returns what another deployment provided after its last
	// deploy; false when there is no such deployment. Nil when there are none.
	Providers func(deployment string) ([]Provider, bool)
}

// DeploymentLinks are the links of all jobs of a deployment.
type DeploymentLinks struct {
	// Providers are all that the deployment provides. The director keeps them
	// for other deployments.
	Providers []Provider

	consumed map[[2]string]map[string]Link
}

// Of returns the links of a group's job by the names it consumes them under.
func (l *DeploymentLinks) Of(group, job string) map[string]Link {
	return l.consumed[[2]string{group, job}]
}

// Links finds a provider for every link that a job consumes. All links that
// cannot be resolved are named in one fault.
func Links(in LinksInput) (*DeploymentLinks, error) {
	out := &DeploymentLinks{consumed: map[[2]string]map[string]Link{}}
	specs := map[[2]string]release.Job{}
	for i := range in.Manifest.InstanceGroups {
		g := &in.Manifest.InstanceGroups[i]
		for j := range g.Jobs {
			job := &g.Jobs[j]
			spec, err := in.Job(job.Release, job.Name)
			if err != nil {
				return nil, err
			}
			specs[[2]string{g.Name, job.Name}] = spec
			provided, err := in.provided(g, job, spec)
			if err != nil {
				return nil, err
			}
			out.Providers = append(out.Providers, provided...)
		}
	}
	var faults []string
	for i := range in.Manifest.InstanceGroups {
		g := &in.Manifest.InstanceGroups[i]
		for j := range g.Jobs {
			job := &g.Jobs[j]
			key := [2]string{g.Name, job.Name}
			links, wrong := in.consume(g, job, specs[key], out.Providers)
			out.consumed[key] = links
			faults = append(faults, wrong...)
		}
	}
	if len(faults) > 0 {
		return nil, faultf(CodeUnknown, "Failed to resolve links from deployment '%s'. See errors below:\n  - %s",
			in.Manifest.Name, strings.Join(faults, "\n  - "))
	}
	return out, nil
}
