package manifest

import (
	"net/netip"
	"slices"
)

// Network of the cloud config. Only manual networks exist on one machine.
type Network struct {
	Name    string
	Subnets []Subnet
}

// Subnet of a manual network.
type Subnet struct {
	Range           netip.Prefix
	Gateway         netip.Addr
	DNS             []netip.Addr
	AZs             []string // empty: for instances without an availability zone
	Static          []IPRange
	Reserved        []IPRange
	CloudProperties map[string]any
}

// AZs lists the availability zones of all subnets.
func (n *Network) AZs() []string {
	var out []string
	for i := range n.Subnets {
		for _, az := range n.Subnets[i].AZs {
			if !slices.Contains(out, az) {
				out = append(out, az)
			}
		}
	}
	return out
}

// covers tells whether instances in these zones find a subnet.
func (n *Network) covers(azs []string) bool {
	have := n.AZs()
	if len(azs) == 0 {
		return len(have) == 0
	}
	for _, az := range azs {
		if !slices.Contains(have, az) {
			return false
		}
	}
	return true
}

// subnetOf returns the subnet whose range holds the address.
func (n *Network) subnetOf(ip netip.Addr) (*Subnet, bool) {
	for i := range n.Subnets {
		if n.Subnets[i].Range.Contains(ip) {
			return &n.Subnets[i], true
		}
	}
	return nil, false
}

// serves tells whether instances of a zone, "" for none, may use the subnet.
func (s *Subnet) serves(az string) bool {
	if az == "" {
		return len(s.AZs) == 0
	}
	return slices.Contains(s.AZs, az)
}

// restricted tells whether no instance may have the address: it is reserved,
// the gateway's, the network's or the broadcast's.
func (s *Subnet) restricted(ip netip.Addr) bool { return inRanges(s.restrictedRanges(), ip) }

func (s *Subnet) restrictedRanges() []IPRange {
	first, last := s.Range.Addr(), lastOf(s.Range)
	return append([]IPRange{{first, first}, {last, last}, {s.Gateway, s.Gateway}}, s.Reserved...)
}

func (c *CloudConfig) parseNetworks(root *reader) error {
	specs := root.list("networks")
	if root.err != nil {
		return root.err
	}
	if len(specs) == 0 {
		return faultf(CodeNoNetworks, "No networks specified")
	}
	canonical := map[string]bool{}
	for _, spec := range specs {
		n, err := c.parseNetwork(spec)
		if err != nil {
			return err
		}
		name, err := canonicalName(n.Name)
		if err != nil {
			return err
		}
		if canonical[name] {
			return faultf(CodeCanonicalNetworkNameTaken, "Invalid network name '%s', canonical name already taken", n.Name)
		}
		canonical[name] = true
		c.Networks = append(c.Networks, n)
	}
	return nil
}

func (c *CloudConfig) parseNetwork(spec any) (Network, error) {
	r := read(spec)
	kind := r.strOr("type", "manual")
	n := Network{Name: r.str("name")}
	if r.err != nil {
		return n, r.err
	}
	switch kind {
	case "manual":
	case "dynamic", "vip":
		return n, faultf(CodeInvalidNetworkType,
			"Network '%s' has type '%s', which the local director cannot provide; use type 'manual'", n.Name, kind)
	default:
		return n, faultf(CodeInvalidNetworkType, "Invalid network type '%s'", kind)
	}
	if r.boolOr("managed", false) {
		return n, faultf(CodeNetworkInvalidProperty, "Network '%s' is managed, which the local director cannot provide", n.Name)
	}
	subnets := r.list("subnets")
	if r.err != nil {
		return n, r.err
	}
	for _, spec := range subnets {
		s, err := c.parseSubnet(n.Name, spec)
		if err != nil {
			return n, err
		}
		for i := range n.Subnets {
			if n.Subnets[i].Range.Overlaps(s.Range) {
				return n, faultf(CodeNetworkOverlappingSubnets, "Network '%s' has overlapping subnets", n.Name)
			}
		}
		n.Subnets = append(n.Subnets, s)
	}
	return n, zonesForAllOrNone(n)
}

func zonesForAllOrNone(n Network) error {
	with := 0
	for i := range n.Subnets {
		if len(n.Subnets[i].AZs) > 0 {
			with++
		}
	}
	if with > 0 && with < len(n.Subnets) {
		return faultf(CodeJobInvalidAZ, "Subnets on network '%s' must all either specify availability zone or not", n.Name)
	}
	return nil
}
