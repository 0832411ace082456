package manifest

// JobSpec is what a release says of a job, as far as the model must know.
type JobSpec struct {
	Properties map[string]PropertySpec // by dotted name
	Provides   []LinkSpec
	Consumes   []LinkSpec
}

// PropertySpec of a job's property.
type PropertySpec struct {
	Default    any
	HasDefault bool
}

// LinkSpec is a link in a job's spec.
type LinkSpec struct {
	Name       string
	Type       string
	Optional   bool     // of consumes
	Properties []string // of provides
}

// Link is the content of a link: what a template gets from link("name"). Its
// JSON form is the director's.
type Link struct {
	DeploymentName string         `json:"deployment_name"`
	Domain         string         `json:"domain"`
	DefaultNetwork string         `json:"default_network"`
	Networks       []string       `json:"networks"`
	InstanceGroup  string         `json:"instance_group"`
	GroupName      string         `json:"group_name,omitempty"`
	Address        string         `json:"address,omitempty"`
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
	Addresses map[string]string `json:"addresses,omitempty"`
}

// Provider is a link provided by a job of a deployment.
type Provider struct {
	Deployment string
	Group      string
	Job        string
	Name       string // in the job's spec
	As         string // the name that consumers ask for
	Type       string
	Shared     bool
	Content    Link
}

// LinksInput is what Links looks at.
type LinksInput struct {
	Manifest *Manifest
	Plan     *DeploymentPlan
	// JobSpec returns the spec of a job of a release of the manifest.
	JobSpec func(release, job string) (JobSpec, error)
	// Providers returns the shared providers of another deployment, as they
	// were after its last deploy; false when there is no such deployment.
	Providers func(deployment string) ([]Provider, bool)
}

// DeploymentLinks are the links of all jobs.
type DeploymentLinks struct {
	// Providers are what this deployment provides; the director keeps the
	// shared ones for others.
	Providers []Provider
	consumed  map[[3]string]Link
}

// Of returns the links of a job by the names it consumes them under.
func (l *DeploymentLinks) Of(group, job string) map[string]Link { return nil }

// Links finds a provider for every link that a job consumes. All faults are
// reported in one error.
func Links(in LinksInput) (*DeploymentLinks, error) { return nil, errNotYet }

// JobProperties are the properties a template sees: those that the job's spec
// declares, as given or by default.
func JobProperties(spec JobSpec, given map[string]any) (map[string]any, error) { return nil, errNotYet }
