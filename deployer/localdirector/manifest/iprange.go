package manifest

import (
	"net/netip"
	"strings"
)

// IPRange is an inclusive range of addresses.
type IPRange struct{ First, Last netip.Addr }

// Contains tells whether the address lies in the range.
func (r IPRange) Contains(ip netip.Addr) bool {
	return ip.Compare(r.First) >= 0 && ip.Compare(r.Last) <= 0 && ip.BitLen() == r.First.BitLen()
}

func inRanges(ranges []IPRange, ip netip.Addr) bool {
	for _, r := range ranges {
		if r.Contains(ip) {
			return true
		}
	}
	return false
}

// firstCommon is the first address of a range that one of the others holds too.
func firstCommon(r IPRange, others []IPRange) (netip.Addr, bool) {
	var first netip.Addr
	for _, o := range others {
		if o.Last.Less(r.First) || r.Last.Less(o.First) {
			continue
		}
		ip := r.First
		if ip.Less(o.First) {
			ip = o.First
		}
		if !first.IsValid() || ip.Less(first) {
			first = ip
		}
	}
	return first, first.IsValid()
}

// parseRanges reads what `reserved`, `static` and `static_ips` take: a string
// or a list, each an address, a range or a CIDR block.
func parseRanges(v any) ([]IPRange, error) {
	switch v := open(v).(type) {
	case nil:
		return nil, nil
	case string:
		r, err := parseRange(v)
		if err != nil {
			return nil, err
		}
		return []IPRange{r}, nil
	case []any:
		var out []IPRange
		for _, e := range v {
			ranges, err := parseRanges(e)
			if err != nil {
				return nil, err
			}
			out = append(out, ranges...)
		}
		return out, nil
	default:
		return nil, invalidRange(inspect(v))
	}
}

func parseRange(text string) (IPRange, error) {
	parts := strings.Split(text, "-")
	switch len(parts) {
	case 1:
		part := strings.TrimSpace(parts[0])
		if strings.Contains(part, "/") {
			prefix, err := netip.ParsePrefix(part)
			if err != nil {
				return IPRange{}, invalidRange(text)
			}
			return IPRange{prefix.Masked().Addr(), lastOf(prefix)}, nil
		}
		ip, err := netip.ParseAddr(part)
		if err != nil {
			return IPRange{}, invalidRange(text)
		}
		return IPRange{ip, ip}, nil
	case 2:
		first, err1 := netip.ParseAddr(strings.TrimSpace(parts[0]))
		last, err2 := netip.ParseAddr(strings.TrimSpace(parts[1]))
		if err1 != nil || err2 != nil || first.BitLen() != last.BitLen() || last.Less(first) {
			return IPRange{}, invalidRange(text)
		}
		return IPRange{first, last}, nil
	}
	return IPRange{}, invalidRange(text)
}

func invalidRange(text string) error {
	return faultf(CodeNetworkInvalidIPRangeFormat, "Invalid IP range format: %s", text)
}

// lastOf is a block's last address: the broadcast address of a subnet.
func lastOf(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	ip, _ := netip.AddrFromSlice(bytes)
	return ip
}
