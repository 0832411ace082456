package manifest

import (
	"fmt"
	"net/netip"
)

// addressBook knows who holds which address. Addresses are only ever added:
// what an obsolete instance holds is free once it is deleted, not before.
type addressBook struct {
	holders map[netip.Addr]holder
	cursors map[*Subnet]netip.Addr // below it, the subnet has nothing left
}

type holder struct{ deployment, instance, id string }

func newAddressBook(in PlanInput) *addressBook {
	b := &addressBook{holders: map[netip.Addr]holder{}, cursors: map[*Subnet]netip.Addr{}}
	for _, t := range in.Taken {
		b.holders[t.IP] = holder{deployment: t.Deployment, instance: t.Instance}
	}
	for _, e := range in.Existing {
		for _, a := range e.Addresses {
			b.holders[a.IP] = holder{in.Manifest.Name, e.Group + "/" + e.ID, e.ID}
		}
	}
	return b
}

// settings gives an instance its address on a network: the static one, the one
// it has, or the lowest free one.
func (b *addressBook) settings(deployment string, i *Instance, n *GroupNetwork, network *Network, static netip.Addr, held *[]Address) (NetworkSettings, error) {
	name := fmt.Sprintf("%s/%s (%d)", i.Group, i.ID, i.Index)
	if static.IsValid() {
		subnet, _ := network.subnetOf(static)
		if h, taken := b.holders[static]; taken && h.id != i.ID {
			return NetworkSettings{}, conflict(static, name, h)
		}
		b.holders[static] = holder{deployment, i.Group + "/" + i.ID, i.ID}
		return subnet.settings(n, static, true), nil
	}
	if ip, subnet, ok := keep(network, i.AZ, held); ok {
		return subnet.settings(n, ip, false), nil
	}
	ip, subnet, ok := b.lowestFree(network, i.AZ)
	if !ok {
		return NetworkSettings{}, faultf(CodeReservationNotEnoughCapacity,
			"Failed to reserve IP for '%s' for manual network '%s': no more available", name, network.Name)
	}
	b.holders[ip] = holder{deployment, i.Group + "/" + i.ID, i.ID}
	return subnet.settings(n, ip, false), nil
}

func conflict(ip netip.Addr, name string, h holder) error {
	if h.instance == "" {
		return faultf(CodeReservationAlreadyInUse, "Failed to reserve IP '%s' for instance '%s': already reserved by orphaned instance", ip, name)
	}
	return faultf(CodeReservationAlreadyInUse, "Failed to reserve IP '%s' for instance '%s': already reserved by instance '%s' from deployment '%s'",
		ip, name, h.instance, h.deployment)
}

// keep finds an address that the instance holds and may go on using: first
// one of this network, then one that this network's subnets hold, too, since
// networks may be renamed. It is taken off the list of held ones.
func keep(network *Network, az string, held *[]Address) (netip.Addr, *Subnet, bool) {
	for _, sameName := range []bool{true, false} {
		for i, a := range *held {
			if (a.Network == network.Name) != sameName {
				continue
			}
			subnet, ok := network.subnetOf(a.IP)
			if !ok || !subnet.serves(az) || subnet.restricted(a.IP) || inRanges(subnet.Static, a.IP) {
				continue
			}
			*held = append(append([]Address{}, (*held)[:i]...), (*held)[i+1:]...)
			return a.IP, subnet, true
		}
	}
	return netip.Addr{}, nil, false
}

// lowestFree is the lowest address that instances of the zone may have and
// nobody has: neither reserved, nor kept for static_ips, nor held.
func (b *addressBook) lowestFree(network *Network, az string) (netip.Addr, *Subnet, bool) {
	for i := range network.Subnets {
		s := &network.Subnets[i]
		if !s.serves(az) {
			continue
		}
		ip, started := b.cursors[s]
		if !started {
			ip = s.Range.Addr()
		}
		barred := append(s.restrictedRanges(), s.Static...)
		for s.Range.Contains(ip) {
			if last, jump := lastOfHit(barred, ip); jump {
				ip = last.Next()
				continue
			}
			if _, taken := b.holders[ip]; !taken {
				b.cursors[s] = ip.Next()
				return ip, s, true
			}
			ip = ip.Next()
		}
		b.cursors[s] = ip
	}
	return netip.Addr{}, nil, false
}

// lastOfHit is the end of the range that holds the address.
func lastOfHit(ranges []IPRange, ip netip.Addr) (netip.Addr, bool) {
	for _, r := range ranges {
		if r.Contains(ip) {
			return r.Last, true
		}
	}
	return netip.Addr{}, false
}

func (s *Subnet) settings(n *GroupNetwork, ip netip.Addr, static bool) NetworkSettings {
	return NetworkSettings{
		Network: n.Name, IP: ip, Static: static, Prefix: s.Range, Gateway: s.Gateway, DNS: s.DNS,
		Default: n.Default, CloudProperties: s.CloudProperties,
	}
}

// CompilationNetwork takes an address for a compilation VM.
func CompilationNetwork(cloud *CloudConfig, taken []Reservation) (NetworkSettings, error) {
	b := newAddressBook(PlanInput{Manifest: &Manifest{}, Taken: taken})
	network, ok := cloud.Network(cloud.Compilation.Network)
	if !ok {
		return NetworkSettings{}, faultf(CodeCompilationUnknownNetwork, "Compilation config references an unknown network '%s'", cloud.Compilation.Network)
	}
	ip, subnet, ok := b.lowestFree(network, cloud.Compilation.AZ)
	if !ok {
		return NetworkSettings{}, faultf(CodeReservationNotEnoughCapacity,
			"Failed to reserve IP for 'compilation' for manual network '%s': no more available", network.Name)
	}
	return subnet.settings(&GroupNetwork{Name: network.Name, Default: requiredDefaults}, ip, false), nil
}
