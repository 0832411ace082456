package manifest

import (
	"net/netip"
	"slices"
	"strings"
)

// What a network can be the default for. A group with several networks must
// say which is the default for dns and gateway.
var (
	requiredDefaults = []string{"dns", "gateway"}
	validDefaults    = []string{"addressable", "dns", "gateway"}
)

func (p *parser) groupNetworks(r *reader, g *InstanceGroup) error {
	specs := r.list("networks")
	if r.err != nil {
		return r.err
	}
	if len(specs) == 0 {
		return faultf(CodeJobMissingNetwork, "Instance group '%s' must specify at least one network", g.Name)
	}
	for _, spec := range specs {
		n, err := p.groupNetwork(spec, g)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(g.Networks, func(o GroupNetwork) bool { return o.Name == n.Name }) {
			return faultf(CodeJobUnknownNetwork, "Instance group '%s' references network '%s' more than once", g.Name, n.Name)
		}
		g.Networks = append(g.Networks, n)
	}
	return checkDefaults(g)
}

func (p *parser) groupNetwork(spec any, g *InstanceGroup) (GroupNetwork, error) {
	r := read(spec)
	n := GroupNetwork{Name: r.str("name"), Default: r.strings("default")}
	if r.err != nil {
		return n, r.err
	}
	raw := r.h.Values["static_ips"]
	ranges, err := parseRanges(raw)
	if err != nil {
		return n, err
	}
	network, ok := p.cloud.Network(n.Name)
	if !ok {
		return n, faultf(CodeJobUnknownNetwork, "Instance group '%s' references an unknown network '%s'", g.Name, n.Name)
	}
	n.StaticIPs, err = expandStatic(ranges, network, g)
	return n, err
}

// expandStatic lists the addresses of static_ips, each of which must lie in
// the static range of a subnet.
func expandStatic(ranges []IPRange, network *Network, g *InstanceGroup) ([]netip.Addr, error) {
	var out []netip.Addr
	seen := map[netip.Addr]bool{}
	for _, r := range ranges {
		for ip := r.First; ip.IsValid() && ip.Compare(r.Last) <= 0; ip = ip.Next() {
			if seen[ip] {
				return nil, faultf(CodeJobInvalidStaticIPs, "Instance group '%s' specifies static IP '%s' more than once", g.Name, ip)
			}
			seen[ip] = true
			subnet, ok := network.subnetOf(ip)
			if !ok || !inRanges(subnet.Static, ip) {
				return nil, faultf(CodeNetworkInstanceIPMismatch,
					"Instance group '%s' with network '%s' declares static ip '%s', which belongs to no subnet", g.Name, network.Name, ip)
			}
			out = append(out, ip)
		}
	}
	return out, nil
}

func checkDefaults(g *InstanceGroup) error {
	for _, n := range g.Networks {
		for _, d := range n.Default {
			if !slices.Contains(validDefaults, d) {
				return faultf(CodeJobNetworkInvalidDefault, "Instance group '%s' specified an invalid default network property '%s', valid properties are: %s",
					g.Name, d, strings.Join(requiredDefaults, ", "))
			}
		}
	}
	if len(g.Networks) == 1 {
		only := &g.Networks[0]
		for _, d := range requiredDefaults {
			if !slices.Contains(only.Default, d) {
				only.Default = append(only.Default, d)
			}
		}
		slices.Sort(only.Default)
		return nil
	}
	var several, missing []string
	for _, d := range validDefaults {
		var holders []string
		for _, n := range g.Networks {
			if slices.Contains(n.Default, d) {
				holders = append(holders, "'"+n.Name+"'")
			}
		}
		switch {
		case len(holders) > 1:
			several = append(several, "'"+d+"' has default networks: "+strings.Join(holders, ", ")+".")
		case len(holders) == 0 && slices.Contains(requiredDefaults, d):
			missing = append(missing, d)
		}
	}
	if len(several) > 0 {
		return faultf(CodeJobNetworkMultipleDefaults, "Instance group '%s' specified more than one network to contain default. %s", g.Name, strings.Join(several, " "))
	}
	if len(missing) > 0 {
		return faultf(CodeJobNetworkMissingDefault, "Instance group '%s' must specify which network is default for %s, since it has more than one network configured",
			g.Name, strings.Join(missing, ", "))
	}
	for i := range g.Networks {
		slices.Sort(g.Networks[i].Default)
	}
	return nil
}
