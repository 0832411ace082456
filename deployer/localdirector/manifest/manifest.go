package manifest

import (
	"errors"
	"net/netip"
	"time"
)

var errNotYet = errors.New("not implemented")

// Manifest is a checked deployment manifest.
type Manifest struct {
	Name           string
	Releases       []Release
	Stemcells      []Stemcell
	Update         Update
	InstanceGroups []InstanceGroup
	Variables      []Variable
	Tags           map[string]string
	Features       Features
}

// Parse checks a manifest tree, with its placeholders already replaced,
// against the cloud config and itself. Addons are merged into the groups that
// they include.
func Parse(tree map[string]any, cloud *CloudConfig) (*Manifest, error) { return nil, errNotYet }

// Group returns the instance group of that name.
func (m *Manifest) Group(name string) (*InstanceGroup, bool) {
	for i := range m.InstanceGroups {
		if m.InstanceGroups[i].Name == name {
			return &m.InstanceGroups[i], true
		}
	}
	return nil, false
}

// Stemcell returns the stemcell with that alias.
func (m *Manifest) Stemcell(alias string) (*Stemcell, bool) {
	for i := range m.Stemcells {
		if m.Stemcells[i].Alias == alias {
			return &m.Stemcells[i], true
		}
	}
	return nil, false
}

// Release is one entry of `releases`.
type Release struct {
	Name    string
	Version string // "latest" and "1.latest" until Resolve
	URL     string // given by manifests that let the CLI upload; the director ignores it
	SHA1    string
}

// Stemcell is one entry of `stemcells`.
type Stemcell struct {
	Alias   string
	Name    string // name or OS, or both after Resolve
	OS      string
	Version string
}

// Features of the deployment that change what the director does.
type Features struct {
	UseShortDNSAddresses bool
	UseLinkDNSNames      bool
	RandomizeAZPlacement bool
}

// Amount is a number or a percentage of a group's size.
type Amount struct {
	Number  int
	Percent bool
}

// Of resolves the amount for a group of that size. A percentage is rounded
// down but never below one, as the director does for max_in_flight.
func (a Amount) Of(size int) int {
	if !a.Percent {
		return a.Number
	}
	return max(1, size*a.Number/100)
}

// WatchTime is how long the director waits for an instance to run: it looks
// for the first time after Min and gives up after Max.
type WatchTime struct{ Min, Max time.Duration }

// Update says how instances are updated.
type Update struct {
	Canaries        Amount
	MaxInFlight     Amount
	CanaryWatchTime WatchTime
	UpdateWatchTime WatchTime
	Serial          bool
	VMStrategy      string // "delete-create" or "create-swap-delete"
}

// InstanceGroup is one entry of `instance_groups`, its references resolved.
type InstanceGroup struct {
	Name           string
	Instances      int
	Lifecycle      string // "service" or "errand"
	AZs            []string
	Jobs           []Job
	Stemcell       string // alias
	VMType         string
	VMExtensions   []string
	VM             CloudProperties // merged from az, type and extensions are not: see CloudProperties
	PersistentDisk *PersistentDisk // nil for none
	Networks       []GroupNetwork
	Update         Update // the deployment's with the group's override
	Env            map[string]any
	MigratedFrom   []MigratedFrom
}

// Errand tells whether instances of the group run only while an errand does.
func (g *InstanceGroup) Errand() bool { return g.Lifecycle == "errand" }

// PersistentDisk of every instance of a group.
type PersistentDisk struct {
	Type            string // name of the disk type, or "" when given by size
	SizeMiB         int
	CloudProperties map[string]any
}

// GroupNetwork is a network of a group.
type GroupNetwork struct {
	Name      string
	StaticIPs []netip.Addr // in the manifest's order, empty for dynamic addresses
	Default   []string     // of "dns", "gateway", "addressable"; never ambiguous after Parse
}

// MigratedFrom names a group whose instances become this group's.
type MigratedFrom struct{ Name, AZ string }

// Job is a job of an instance group.
type Job struct {
	Name       string
	Release    string
	Properties map[string]any // as given, without the spec's defaults
	Provides   map[string]ProvideSpec
	Consumes   map[string]ConsumeSpec
}

// ProvideSpec is what a manifest says of a link that a job provides.
type ProvideSpec struct {
	Nil     bool   // the job does not provide it here
	As      string // alias for `from`
	Shared  bool   // other deployments may consume it
	Aliases []any  // accepted for DNS aliases; not used locally
}

// ConsumeSpec is what a manifest says of a link that a job consumes.
type ConsumeSpec struct {
	Nil         bool   // the job gets no link
	From        string // name or alias of the provider
	Deployment  string // of another deployment's shared provider
	Network     string // whose addresses to use
	IPAddresses *bool
	Instances   []map[string]any // a manual link: everything is given
	Properties  map[string]any   // of a manual link
	Address     string           // of a manual link
	Manual      bool
}
