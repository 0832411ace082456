package manifest

import (
	"net/netip"
	"strings"
)

func (c *CloudConfig) parseSubnet(network string, spec any) (Subnet, error) {
	r := read(spec)
	block, gateway := r.str("range"), r.str("gateway")
	dns := r.listOr("dns")
	properties := r.hashOr("cloud_properties")
	if r.err != nil {
		return Subnet{}, r.err
	}
	s := Subnet{CloudProperties: plainMap(properties)}
	var err error
	if s.Range, err = parseBlock(network, block); err != nil {
		return s, err
	}
	if s.Gateway, err = parseGateway(network, gateway, s.Range); err != nil {
		return s, err
	}
	if s.Reserved, err = parseReserved(network, r.h.Values["reserved"], s.Range); err != nil {
		return s, err
	}
	if s.Static, err = parseStatic(network, r.h.Values["static"], &s); err != nil {
		return s, err
	}
	if s.DNS, err = parseDNS(network, dns); err != nil {
		return s, err
	}
	s.AZs, err = c.parseSubnetAZs(network, r)
	return s, err
}

func parseBlock(network, text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || !p.Addr().Is4() {
		return p, faultf(CodeNetworkInvalidRange, "Invalid network range '%s' of network '%s', should be an IPv4 block such as 10.0.0.0/24", text, network)
	}
	if p.Bits() > 30 {
		return p, faultf(CodeNetworkInvalidRange, "Invalid network range '%s', should include at least 2 IPs", text)
	}
	return p.Masked(), nil
}

func parseGateway(network, text string, block netip.Prefix) (netip.Addr, error) {
	reason := ""
	ip, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		reason = "must be a single IP"
	case !block.Contains(ip):
		reason = "must be inside the range"
	case ip == block.Addr():
		reason = "can't be the network id"
	case ip == lastOf(block):
		reason = "can't be the broadcast IP"
	default:
		return ip, nil
	}
	return ip, faultf(CodeNetworkInvalidGateway, "Invalid gateway for network '%s': %s", network, reason)
}

func parseReserved(network string, spec any, block netip.Prefix) ([]IPRange, error) {
	ranges, err := parseRanges(spec)
	if err != nil {
		return nil, err
	}
	for _, r := range ranges {
		for _, ip := range []netip.Addr{r.First, r.Last} {
			if !block.Contains(ip) {
				return nil, faultf(CodeNetworkReservedIPOutOfRange, "Reserved IP '%s' is out of network '%s' range", ip, network)
			}
		}
	}
	return ranges, nil
}

func parseStatic(network string, spec any, s *Subnet) ([]IPRange, error) {
	ranges, err := parseRanges(spec)
	if err != nil {
		return nil, err
	}
	for _, r := range ranges {
		for _, ip := range []netip.Addr{r.First, r.Last} {
			if !s.Range.Contains(ip) {
				return nil, faultf(CodeNetworkStaticIPOutOfRange, "Static IP '%s' is out of network '%s' range", ip, network)
			}
		}
		if ip, clash := firstCommon(r, s.restrictedRanges()); clash {
			return nil, faultf(CodeNetworkStaticIPOutOfRange, "Static IP '%s' is in network '%s' reserved range", ip, network)
		}
	}
	return ranges, nil
}

func parseDNS(network string, list []any) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, e := range list {
		text, _ := open(e).(string)
		ip, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return nil, faultf(CodeNetworkInvalidDNS, "Invalid DNS for network '%s': must be a single IP", network)
		}
		out = append(out, ip)
	}
	return out, nil
}

func (c *CloudConfig) parseSubnetAZs(network string, r *reader) ([]string, error) {
	one, many := r.has("az"), r.has("azs")
	var names []string
	switch {
	case one && many:
		return nil, faultf(CodeNetworkInvalidProperty, "Network '%s' contains both 'az' and 'azs'. Choose one.", network)
	case one:
		names = []string{r.str("az")}
	case many:
		names = r.strings("azs")
		if r.err == nil && len(names) == 0 {
			return nil, faultf(CodeNetworkInvalidProperty, "Network '%s' refers to an empty 'azs' array", network)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	for _, name := range names {
		if _, ok := c.AZ(name); !ok {
			return nil, faultf(CodeNetworkSubnetUnknownAZ, "Network '%s' refers to an unknown availability zone '%s'", network, name)
		}
	}
	return names, nil
}
