package manifest

import "net/netip"

// Existing is an instance that the director knows from earlier deploys.
type Existing struct {
	Group     string
	ID        string
	Index     int
	AZ        string // "" for none
	Bootstrap bool
	Ignore    bool // must neither be changed nor removed
	HasDisk   bool // keeps data, and so its zone
	Addresses []Address
}

// Address is an address that an instance holds on a network.
type Address struct {
	Network string
	IP      netip.Addr
}

// Reservation is an address held by somebody else: an instance of another
// deployment, a compilation VM, or the director itself.
type Reservation struct {
	IP         netip.Addr
	Deployment string
	Instance   string // "group/id", "" when no instance holds it
}

// PlanInput is what Plan looks at.
type PlanInput struct {
	Manifest *Manifest
	Cloud    *CloudConfig
	Existing []Existing    // of this deployment
	Taken    []Reservation // by others
	NewID    func() string // makes ids of new instances
}

// DeploymentPlan is what a deployment's instances shall be.
type DeploymentPlan struct {
	Deployment string
	Groups     []GroupPlan // in the manifest's order
	Obsolete   []Existing  // to be deleted: of removed groups, and those scaled away
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
	AZ        string // "" for none
	Bootstrap bool
	New       bool   // no row exists yet
	WasGroup  string // the group it is migrated from; Group when it is not
	VM        CloudProperties
	Networks  []NetworkSettings // in the group's order
}

// NetworkSettings of one network of an instance.
type NetworkSettings struct {
	Network         string
	IP              netip.Addr
	Static          bool
	Prefix          netip.Prefix // the subnet's range
	Gateway         netip.Addr
	DNS             []netip.Addr
	Default         []string // of "addressable", "dns", "gateway", sorted
	CloudProperties map[string]any
}

// Group returns the plan of the group of that name.
func (p *DeploymentPlan) Group(name string) (*GroupPlan, bool) {
	return find(p.Groups, func(g *GroupPlan) bool { return g.Group == name })
}

// Plan keeps what exists, places what is new and names what is obsolete.
// Faults name the network that has no address left, and the static ip or the
// zone that does not fit.
func Plan(in PlanInput) (*DeploymentPlan, error) {
	plan := &DeploymentPlan{Deployment: in.Manifest.Name}
	adopted, err := adopt(in)
	if err != nil {
		return nil, err
	}
	addresses := newAddressBook(in)
	for i := range in.Manifest.InstanceGroups {
		g := &in.Manifest.InstanceGroups[i]
		gp, obsolete, err := planGroup(in, g, adopted[g.Name], addresses)
		if err != nil {
			return nil, err
		}
		plan.Groups = append(plan.Groups, gp)
		plan.Obsolete = append(plan.Obsolete, obsolete...)
		delete(adopted, g.Name)
	}
	for _, e := range in.Existing { // of groups that are gone, in the given order
		if _, gone := adopted[e.Group]; !gone {
			continue
		}
		if e.Ignore {
			return nil, faultf(CodeIgnoredInstancesDeletion, "You are trying to delete instance group '%s', which contains ignored instance(s). Operation not allowed.", e.Group)
		}
		plan.Obsolete = append(plan.Obsolete, e)
	}
	return plan, nil
}

// adopt sorts existing instances by the group they belong to from now on.
// Migrated ones get the zone that the manifest says they were in.
func adopt(in PlanInput) (map[string][]Existing, error) {
	into := map[string]*InstanceGroup{}
	from := map[string]MigratedFrom{}
	for i := range in.Manifest.InstanceGroups {
		g := &in.Manifest.InstanceGroups[i]
		for _, m := range g.MigratedFrom {
			into[m.Name], from[m.Name] = g, m
		}
	}
	out := map[string][]Existing{}
	for _, e := range in.Existing {
		g, migrates := into[e.Group]
		if !migrates || g.Name == e.Group {
			out[e.Group] = append(out[e.Group], e)
			continue
		}
		m := from[e.Group]
		switch {
		case e.AZ == "" && m.AZ == "" && len(g.AZs) > 0:
			return nil, faultf(CodeInvalidMigratedFromJob, "Failed to migrate instance group '%s' to '%s', availability zone of '%s' is not specified", m.Name, g.Name, m.Name)
		case e.AZ != "" && m.AZ != "" && e.AZ != m.AZ:
			return nil, faultf(CodeInvalidMigratedFromJob, "Failed to migrate instance group '%s' to '%s', '%s' belongs to availability zone '%s' and manifest specifies '%s'",
				m.Name, g.Name, m.Name, e.AZ, m.AZ)
		case e.AZ == "":
			e.AZ = m.AZ
		}
		out[g.Name] = append(out[g.Name], e)
	}
	return out, nil
}

// Address is the instance's own address: that of the network that is the
// default for "addressable", else for the gateway.
func (i *Instance) Address() netip.Addr {
	if n, ok := i.addressable(); ok {
		return n.IP
	}
	return netip.Addr{}
}

func (i *Instance) addressable() (*NetworkSettings, bool) {
	for _, what := range []string{"addressable", "gateway"} {
		if n, ok := find(i.Networks, func(n *NetworkSettings) bool { return n.isDefault(what) }); ok {
			return n, true
		}
	}
	return nil, false
}
