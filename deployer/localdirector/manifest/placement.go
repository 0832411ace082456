package manifest

import (
	"cmp"
	"net/netip"
	"slices"
)

// placement is an instance that shall be: an existing one or, without, a new
// one.
type placement struct {
	existing *Existing
	az       string
	static   map[string]netip.Addr // by network
}

func planGroup(in PlanInput, g *InstanceGroup, existing []Existing, book *addressBook) (GroupPlan, []Existing, error) {
	plan := GroupPlan{Group: g.Name}
	existing = slices.SortedStableFunc(slices.Values(existing), func(a, b Existing) int { return cmp.Compare(a.Index, b.Index) })
	if err := checkIgnored(g, existing); err != nil {
		return plan, nil, err
	}
	placed, obsolete, err := place(in.Cloud, g, existing)
	if err != nil {
		return plan, nil, err
	}
	for _, o := range obsolete {
		if o.Ignore {
			return plan, nil, faultf(CodeIgnoredInstancesModification, "In instance group '%s', an attempt was made to remove a static ip that is used by an ignored instance. This operation is not allowed.", g.Name)
		}
	}
	next := indexes(in.Existing, g.Name)
	held := map[string]*[]Address{}
	static := map[string]map[string]netip.Addr{}
	for _, p := range placed {
		i := Instance{Group: g.Name, WasGroup: g.Name, AZ: p.az}
		addresses := []Address{}
		if e := p.existing; e == nil {
			i.ID, i.Index, i.New = in.NewID(), next(), true
		} else {
			i.ID, i.Index, i.Bootstrap, i.WasGroup = e.ID, e.Index, e.Bootstrap, e.Group
			if e.Group != g.Name {
				i.Index = next()
			}
			addresses = e.Addresses
		}
		held[i.ID], static[i.ID] = &addresses, p.static
		plan.Instances = append(plan.Instances, i)
	}
	slices.SortFunc(plan.Instances, func(a, b Instance) int { return cmp.Compare(a.Index, b.Index) })
	electBootstrap(plan.Instances)
	for n := range plan.Instances {
		i := &plan.Instances[n]
		if err := complete(in, g, i, static[i.ID], held[i.ID], book); err != nil {
			return plan, nil, err
		}
	}
	return plan, obsolete, nil
}

// complete gives an instance its VM and its addresses.
func complete(in PlanInput, g *InstanceGroup, i *Instance, static map[string]netip.Addr, held *[]Address, book *addressBook) (err error) {
	if i.VM, err = in.Cloud.groupVM(g, i.AZ); err != nil {
		return err
	}
	for n := range g.Networks {
		gn := &g.Networks[n]
		network, ok := in.Cloud.Network(gn.Name)
		if !ok {
			return faultf(CodeJobUnknownNetwork, "Instance group '%s' references an unknown network '%s'", g.Name, gn.Name)
		}
		s, err := book.settings(in.Manifest.Name, i, gn, network, static[gn.Name], held)
		if err != nil {
			return err
		}
		i.Networks = append(i.Networks, s)
	}
	return nil
}

// indexes hands out the lowest indexes that no row of the group has, obsolete
// ones included.
func indexes(existing []Existing, group string) func() int {
	used := map[int]bool{}
	for _, e := range existing {
		if e.Group == group {
			used[e.Index] = true
		}
	}
	next := 0
	return func() int {
		for used[next] {
			next++
		}
		used[next] = true
		return next
	}
}

// electBootstrap leaves the one bootstrap instance there is, or makes the
// lowest index it.
func electBootstrap(instances []Instance) {
	count := 0
	for _, i := range instances {
		if i.Bootstrap {
			count++
		}
	}
	if count == 1 {
		return
	}
	for n := range instances {
		instances[n].Bootstrap = n == 0
	}
}

func place(cloud *CloudConfig, g *InstanceGroup, existing []Existing) ([]placement, []Existing, error) {
	if slices.ContainsFunc(g.Networks, func(n GroupNetwork) bool { return n.static() }) {
		return placeStatic(cloud, g, existing)
	}
	placed, obsolete := placeBalanced(g, existing)
	return placed, obsolete, nil
}

// checkIgnored refuses to remove or to change instances that shall be ignored.
func checkIgnored(g *InstanceGroup, existing []Existing) error {
	ignored := 0
	var lost []string
	for _, e := range existing {
		if !e.Ignore {
			continue
		}
		ignored++
		if e.AZ != "" && !slices.Contains(g.AZs, e.AZ) {
			lost = append(lost, e.AZ)
		}
		if !sameNetworks(g, e) {
			return faultf(CodeIgnoredInstancesModification, "In instance group '%s', which contains ignored vms, an attempt was made to modify the networks. This operation is not allowed.", g.Name)
		}
	}
	if ignored > g.Instances {
		return faultf(CodeIgnoredInstancesModification, "Instance Group '%s' has %d ignored instance(s). %d instance(s) of that instance group were requested. Deleting ignored instances is not allowed.",
			g.Name, ignored, g.Instances)
	}
	if len(lost) > 0 {
		return faultf(CodeIgnoredInstancesModification, "Instance Group '%s' no longer contains AZs %q where ignored instance(s) exist.", g.Name, lost)
	}
	return nil
}

func sameNetworks(g *InstanceGroup, e Existing) bool {
	has := map[string]bool{}
	for _, a := range e.Addresses {
		has[a.Network] = true
	}
	for _, n := range g.Networks {
		if !has[n.Name] {
			return false
		}
	}
	return len(has) == len(g.Networks)
}
