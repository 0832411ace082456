package manifest

import "net/netip"

// Existing is an instance that the director knows from earlier deploys.
type Existing struct {
	Group     string
	ID        string
	Index     int
	AZ        string
	Bootstrap bool
	Ignore    bool      // must not be touched, nor removed
	Addresses []Address // what it holds
}

// Address is an address on a network.
type Address struct {
	Network string
	IP      netip.Addr
}

// Reservation is an address held by somebody else: an instance of another
// deployment or a compilation VM.
type Reservation struct {
	IP         netip.Addr
	Deployment string
	Instance   string // "group/id", "" for compilation VMs
}

// PlanInput is what Plan looks at.
type PlanInput struct {
	Manifest *Manifest
	Cloud    *CloudConfig
	Existing []Existing    // of this deployment
	Taken    []Reservation // by others
	NewID    func() string // ids of new instances
}

// DeploymentPlan is what a deployment's instances shall be.
type DeploymentPlan struct {
	Groups   []GroupPlan // in the manifest's order
	Obsolete []Existing  // to be deleted: of removed groups and scaled down ones
}

// GroupPlan has the instances of a group ordered by index.
type GroupPlan struct {
	Group     string
	Instances []Instance
}

// Instance is one planned instance.
type Instance struct {
	Group     string
	ID        string
	Index     int
	AZ        string
	Bootstrap bool
	New       bool   // no row exists yet
	WasGroup  string // group it is migrated from, else Group
	Networks  []NetworkSettings
}

// NetworkSettings of one network of an instance.
type NetworkSettings struct {
	Network string
	IP      netip.Addr
	Prefix  netip.Prefix // the subnet's range
	Gateway netip.Addr
	DNS     []netip.Addr
	Default []string // what this network is the default for: "dns", "gateway"
}

// Plan keeps what exists, places what is new and names what is obsolete.
// Faults name the network when no address is left, and the static ip or az
// that does not fit.
func Plan(in PlanInput) (*DeploymentPlan, error) { return nil, errNotYet }

// CompilationNetwork takes an address for a compilation VM.
func CompilationNetwork(cloud *CloudConfig, taken []Reservation) (NetworkSettings, error) {
	return NetworkSettings{}, errNotYet
}

// Group returns the plan of the group of that name.
func (p *DeploymentPlan) Group(name string) (*GroupPlan, bool) {
	for i := range p.Groups {
		if p.Groups[i].Group == name {
			return &p.Groups[i], true
		}
	}
	return nil, false
}

// Address is the ip of the instance's addressable (else gateway, else first) network.
func (i *Instance) Address() netip.Addr { return netip.Addr{} }
