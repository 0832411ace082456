package manifest

import (
	"net/netip"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// Manifest is a checked deployment manifest, its versions resolved.
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

// Group returns the instance group of that name.
func (m *Manifest) Group(name string) (*InstanceGroup, bool) {
	return find(m.InstanceGroups, func(g *InstanceGroup) bool { return g.Name == name })
}

// Stemcell returns the stemcell with that alias.
func (m *Manifest) Stemcell(alias string) (*Stemcell, bool) {
	return find(m.Stemcells, func(s *Stemcell) bool { return s.Alias == alias })
}

// Release returns the release of that name.
func (m *Manifest) Release(name string) (*Release, bool) {
	return find(m.Releases, func(r *Release) bool { return r.Name == name })
}

// Release is one entry of `releases`.
type Release struct{ Name, Version string }

// Stemcell is one entry of `stemcells`: which uploaded one the alias means.
type Stemcell struct{ Alias, Name, OS, Version string }

// Variable is one entry of `variables`.
type Variable struct {
	Name       string         // as written: relative to the deployment, or absolute with a leading /
	Type       string         // password, certificate, rsa, ssh
	UpdateMode string         // "no-overwrite", "overwrite" or "converge"
	Options    map[string]any // the generator's
}

// Features of a deployment. Those that concern DNS names are accepted, but the
// local director always hands out addresses.
type Features struct {
	UseDNSAddresses      bool
	UseShortDNSAddresses bool
	UseLinkDNSNames      bool
	RandomizeAZPlacement bool
	ConvergeVariables    bool
}

// Amount is a number of instances or a percentage of a group's.
type Amount struct {
	Number  int
	Percent bool
}

// Of resolves the amount for a group of that size; percentages round down.
func (a Amount) Of(size int) int {
	if !a.Percent {
		return a.Number
	}
	return min(a.Number*size/100, size)
}

// WatchTime is how long an instance may take to run: Min passes before the
// director looks for the first time, after Max it gives up.
type WatchTime struct{ Min, Max time.Duration }

// Update says how instances are updated.
type Update struct {
	Canaries        Amount
	MaxInFlight     Amount
	CanaryWatchTime WatchTime
	UpdateWatchTime WatchTime
	Serial          bool
	VMStrategy      string // "delete-create" or "create-swap-delete"
	// InitialAZs is how the zones follow each other until a deploy has succeeded:
	// "serial", as ever after, or "parallel", as if all were one.
	InitialAZs string
}

// CanariesOf is how many of a group's instances are updated first, one failure
// of which ends the update.
func (u Update) CanariesOf(size int) int { return u.Canaries.Of(size) }

// MaxInFlightOf is how many instances are updated at once: at least one.
func (u Update) MaxInFlightOf(size int) int { return max(1, u.MaxInFlight.Of(size)) }

// InstanceGroup is one entry of `instance_groups`; all it refers to exists.
type InstanceGroup struct {
	Name           string
	Instances      int
	Lifecycle      string // "service" or "errand"
	AZs            []string
	Jobs           []Job
	Stemcell       string           // alias
	VMType         string           // "" with VMResources
	VMResources    *CloudProperties // asked for instead of a vm_type
	VMExtensions   []string
	PersistentDisk *PersistentDisk // nil for none
	Networks       []GroupNetwork
	Update         Update // the deployment's with the group's overrides
	Env            map[string]any
	MigratedFrom   []MigratedFrom
	Tags           map[string]string
}

// Errand tells whether the group's instances run only while an errand does.
func (g *InstanceGroup) Errand() bool { return g.Lifecycle == lifecycleErrand }

const (
	lifecycleService = "service"
	lifecycleErrand  = "errand"
)

// Job returns the group's job of that name.
func (g *InstanceGroup) Job(name string) (*Job, bool) {
	return find(g.Jobs, func(j *Job) bool { return j.Name == name })
}

// PersistentDisk of every instance of a group.
type PersistentDisk struct {
	Type            string // name of the disk type, "" when given by size
	SizeMiB         int
	CloudProperties map[string]any
}

// GroupNetwork is a network of a group.
type GroupNetwork struct {
	Name      string
	StaticIPs []netip.Addr // in the manifest's order; none for addresses that the director chooses
	Default   []string     // of "addressable", "dns", "gateway": what this network is the default for
}

func (n *GroupNetwork) static() bool { return len(n.StaticIPs) > 0 }

// MigratedFrom names a group whose instances become this group's.
type MigratedFrom struct{ Name, AZ string }

// Job is a job of an instance group.
type Job struct {
	Name       string
	Release    string
	Properties map[string]any // as given, without the job's defaults
	Provides   map[string]Provide
	Consumes   map[string]Consume
	Custom     []release.ProvidedLink // custom_provider_definitions
}

// Provide is what a manifest says of a link that a job provides.
type Provide struct {
	Nil    bool   // nobody may consume it
	As     string // the name that consumers ask for, "" for the link's own
	Shared bool   // other deployments may consume it
}

// Consume is what a manifest says of a link that a job consumes.
type Consume struct {
	Nil        bool        // the job gets no link
	From       string      // name of the provider's link, "" for the link's own
	Deployment string      // whose shared link to take
	Network    string      // whose addresses to take
	Manual     *ManualLink // everything is given
}

// ManualLink is a link whose content the manifest gives.
type ManualLink struct {
	Instances  []any
	Properties map[string]any
	Address    string
}
