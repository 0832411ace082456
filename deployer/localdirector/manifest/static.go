package manifest

import (
	"cmp"
	"net/netip"
	"slices"
)

// maxTries bounds the search for a distribution of static ips over zones.
const maxTries = 20_000

// staticPool has the static ips of a group that are still to be given away.
type staticPool struct {
	group    string
	networks []string              // those with static ips, in the group's order
	free     map[string][]staticIP // by network, in the manifest's order
	count    map[string]int        // instances by zone
	tries    int
}

type staticIP struct {
	ip  netip.Addr
	azs []string // of the group that its subnet serves; "" for none
}

func newStaticPool(cloud *CloudConfig, g *InstanceGroup) (*staticPool, error) {
	pool := &staticPool{group: g.Name, free: map[string][]staticIP{}, count: map[string]int{}}
	for _, n := range g.Networks {
		if !n.static() {
			continue
		}
		pool.networks = append(pool.networks, n.Name)
		network, _ := cloud.Network(n.Name)
		for _, ip := range n.StaticIPs {
			subnet, ok := network.subnetOf(ip)
			if !ok {
				return nil, faultf(CodeNetworkInstanceIPMismatch, "Instance group '%s' with network '%s' declares static ip '%s', which belongs to no subnet", g.Name, n.Name, ip)
			}
			azs := []string{""}
			if len(g.AZs) > 0 {
				azs = nil
				for _, az := range g.AZs {
					if subnet.serves(az) {
						azs = append(azs, az)
					}
				}
			}
			if len(azs) == 0 {
				return nil, faultf(CodeJobStaticIPsInvalidAZ, "Instance group '%s' declares static ip '%s' which does not belong to any of the instance group's availability zones.", g.Name, ip)
			}
			pool.free[n.Name] = append(pool.free[n.Name], staticIP{ip, azs})
		}
	}
	return pool, nil
}

// placeStatic lets instances keep the static ips they have, then keeps
// instances whose zone has ips left, then places new ones.
func placeStatic(cloud *CloudConfig, g *InstanceGroup, existing []Existing) ([]placement, []Existing, error) {
	pool, err := newStaticPool(cloud, g)
	if err != nil {
		return nil, nil, err
	}
	var placed []placement
	kept := map[string]bool{}
	for i := range existing {
		e := &existing[i]
		held, err := pool.takeHeld(e)
		if err != nil {
			return nil, nil, err
		}
		if len(held) > 0 && len(placed) < g.Instances {
			kept[e.ID] = true
			pool.count[e.AZ]++
			placed = append(placed, placement{existing: e, az: e.AZ, static: held})
		}
	}
	var obsolete []Existing
	for i := range existing {
		e := &existing[i]
		switch {
		case kept[e.ID]:
		case len(placed) < g.Instances && pool.fits(e.AZ):
			p := placement{existing: e, az: e.AZ, static: map[string]netip.Addr{}}
			pool.fill(p)
			pool.count[e.AZ]++
			placed = append(placed, p)
		default:
			obsolete = append(obsolete, *e)
		}
	}
	for _, p := range placed {
		if !pool.fill(p) {
			return nil, nil, faultf(CodeReservationError, "Failed to distribute static IPs to satisfy existing instance reservations")
		}
	}
	fresh, ok := pool.distribute(g.Instances - len(placed))
	if !ok {
		return nil, nil, faultf(CodeNetworkInstanceIPMismatch, "Failed to evenly distribute static IPs between zones for instance group '%s'", g.Name)
	}
	return append(placed, fresh...), obsolete, nil
}

// takeHeld takes the ips out of the pool that the instance has already.
func (p *staticPool) takeHeld(e *Existing) (map[string]netip.Addr, error) {
	held := map[string]netip.Addr{}
	for _, network := range p.networks {
		for i, s := range p.free[network] {
			if !slices.ContainsFunc(e.Addresses, func(a Address) bool { return a.IP == s.ip }) {
				continue
			}
			if !slices.Contains(s.azs, e.AZ) {
				return nil, faultf(CodeReservationError, "Existing instance '%s/%d' is using IP '%s' in availability zone '%s'", e.Group, e.Index, s.ip, e.AZ)
			}
			held[network] = s.ip
			p.free[network] = slices.Delete(slices.Clone(p.free[network]), i, i+1)
			break
		}
	}
	return held, nil
}

// fits tells whether every network has an ip left in the zone.
func (p *staticPool) fits(az string) bool {
	for _, network := range p.networks {
		if _, ok := p.pick(network, az); !ok {
			return false
		}
	}
	return true
}

// fill gives a placement an ip on every network on which it has none.
func (p *staticPool) fill(to placement) bool {
	for _, network := range p.networks {
		if _, has := to.static[network]; has {
			continue
		}
		i, ok := p.pick(network, to.az)
		if !ok {
			return false
		}
		to.static[network] = p.free[network][i].ip
		p.free[network] = slices.Delete(slices.Clone(p.free[network]), i, i+1)
	}
	return true
}

// pick chooses the ip of the zone that is of least use elsewhere.
func (p *staticPool) pick(network, az string) (int, bool) {
	best := -1
	for i, s := range p.free[network] {
		if slices.Contains(s.azs, az) && (best < 0 || len(s.azs) < len(p.free[network][best].azs)) {
			best = i
		}
	}
	return best, best >= 0
}

// distribute places new instances along the ips of the first network, each in
// the emptiest of the zones that work out for all.
func (p *staticPool) distribute(count int) ([]placement, bool) {
	if count == 0 {
		return nil, true
	}
	if p.tries++; p.tries > maxTries || len(p.free[p.networks[0]]) == 0 {
		return nil, false
	}
	first := p.networks[0]
	next := p.free[first][0]
	azs := slices.Clone(next.azs)
	slices.SortStableFunc(azs, func(a, b string) int { return cmp.Compare(p.count[a], p.count[b]) })
	before := p.free
	for _, az := range azs {
		p.free = map[string][]staticIP{}
		for network, ips := range before {
			p.free[network] = ips
		}
		p.free[first] = before[first][1:]
		one := placement{az: az, static: map[string]netip.Addr{first: next.ip}}
		if !p.fill(one) {
			continue
		}
		p.count[az]++
		if rest, ok := p.distribute(count - 1); ok {
			return append([]placement{one}, rest...), true
		}
		p.count[az]--
	}
	p.free = before
	return nil, false
}
