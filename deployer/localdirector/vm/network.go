package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// unreachableMetric lets every real route win over the stack's unreachable one.
const unreachableMetric = 9999

// EnsureSubnet gives the bridge the gateway's address, with the subnet's length
// (198.18.16.1/24). It refuses subnets outside the stack's. Repeating is
// harmless. After the machine has booted, it must be called again before VMs
// are created.
func (h *Host) EnsureSubnet(_ context.Context, gateway netip.Prefix) error {
	if !gateway.IsValid() || gateway.Bits() < h.stack.Subnet.Bits() || !h.stack.Subnet.Contains(gateway.Addr()) {
		return fmt.Errorf("subnet %v is not inside this stack's %v", gateway, h.stack.Subnet)
	}
	h.network.Lock()
	defer h.network.Unlock()
	if stackIsGone(h.config.Dir) {
		return ErrNoStack
	}
	if err := ensureUnreachable(h.stack.Subnet); err != nil {
		return err
	}
	bridge, err := ensureBridge(h.stack.Bridge)
	if err != nil {
		return err
	}
	address := &netlink.Addr{IPNet: ipNet(gateway)}
	if err := netlink.AddrAdd(bridge, address); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("give %s the address %v: %w", h.stack.Bridge, gateway, err)
	}
	return nil
}

// ensureUnreachable keeps traffic to the stack's addresses on this machine,
// also while there is no bridge.
func ensureUnreachable(subnet netip.Prefix) error {
	if err := netlink.RouteReplace(unreachable(subnet)); err != nil {
		return fmt.Errorf("add the unreachable route for %v: %w", subnet, err)
	}
	return nil
}

func unreachable(subnet netip.Prefix) *netlink.Route {
	return &netlink.Route{Dst: ipNet(subnet), Type: unix.RTN_UNREACHABLE, Priority: unreachableMetric, Table: unix.RT_TABLE_MAIN}
}

// ensureBridge makes the bridge. Nothing that VMs send is forwarded beyond it.
func ensureBridge(name string) (netlink.Link, error) {
	bridge, err := netlink.LinkByName(name)
	if err == nil {
		return bridge, nil
	}
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); !missing {
		return nil, fmt.Errorf("look for bridge %s: %w", name, err)
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = name
	// Its own, or it would take a port's and change with the VMs.
	attributes.HardwareAddr = hardwareAddr(0xfe, randomNumber())
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attributes}); err != nil {
		return nil, fmt.Errorf("add bridge %s: %w", name, err)
	}
	if bridge, err = netlink.LinkByName(name); err != nil {
		return nil, fmt.Errorf("look for bridge %s: %w", name, err)
	}
	if err := disableIPv6(name); err != nil {
		return nil, err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/forwarding", []byte("0"), 0); err != nil {
		return nil, fmt.Errorf("forbid forwarding from %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return nil, fmt.Errorf("set %s up: %w", name, err)
	}
	return bridge, nil
}

// disableIPv6 keeps a link free of addresses nobody asked for. A kernel without
// IPv6 has none.
func disableIPv6(link string) error {
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+link+"/disable_ipv6", []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("disable IPv6 on %s: %w", link, err)
	}
	return nil
}

// plug lays a cable from the bridge into the network namespace of pid, where
// its end is called eth0.
func plug(bridgeName, link string, pid int, mac net.HardwareAddr, addresses []netip.Addr) error {
	bridge, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return fmt.Errorf("look for bridge %s: %w", bridgeName, err)
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = link
	attributes.MasterIndex = bridge.Attrs().Index
	cable := &netlink.Veth{LinkAttrs: attributes, PeerName: guestLink, PeerHardwareAddr: mac, PeerNamespace: netlink.NsPid(pid)}
	if err := netlink.LinkAdd(cable); err != nil {
		return fmt.Errorf("add link %s: %w", link, err)
	}
	if err := disableIPv6(link); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(cable); err != nil {
		return fmt.Errorf("set %s up: %w", link, err)
	}
	for _, a := range addresses {
		// Known beforehand: a lost question would cost a second of waiting.
		if err := netlink.NeighSet(neighbour(bridge, a, mac)); err != nil {
			return fmt.Errorf("add neighbour %v: %w", a, err)
		}
	}
	return nil
}

// unplug removes the link, if the VM's end has not taken it along, and the
// neighbours. What is not there is no error.
func unplug(bridgeName, link string, addresses []netip.Addr) error {
	if err := deleteLink(link); err != nil {
		return err
	}
	bridge, err := netlink.LinkByName(bridgeName)
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for bridge %s: %w", bridgeName, err)
	}
	for _, a := range addresses {
		if err := netlink.NeighDel(neighbour(bridge, a, nil)); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("remove neighbour %v: %w", a, err)
		}
	}
	return nil
}

func deleteLink(name string) error {
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) && !linkExists(name) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove link %s: %w", name, err)
	}
	return nil
}

func linkExists(name string) bool {
	_, err := netlink.LinkByName(name)
	return err == nil
}

func neighbour(bridge netlink.Link, address netip.Addr, mac net.HardwareAddr) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: bridge.Attrs().Index, Family: netlink.FAMILY_V4, State: netlink.NUD_PERMANENT, IP: address.AsSlice(), HardwareAddr: mac}
}

// ensuredSubnets lists what EnsureSubnet gave the bridge.
func ensuredSubnets(bridgeName string) ([]netip.Prefix, error) {
	bridge, err := netlink.LinkByName(bridgeName)
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for bridge %s: %w", bridgeName, err)
	}
	addresses, err := netlink.AddrList(bridge, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list the addresses of %s: %w", bridgeName, err)
	}
	var subnets []netip.Prefix
	for _, a := range addresses {
		if ip, ok := netip.AddrFromSlice(a.IP.To4()); ok {
			bits, _ := a.Mask.Size()
			subnets = append(subnets, netip.PrefixFrom(ip, bits))
		}
	}
	return subnets, nil
}

// removeNetwork takes away what EnsureSubnet made, and links of VMs that are
// left. Routes and neighbours go with the bridge, but for the unreachable one.
func removeNetwork(stack Stack) error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	var faults []error
	for _, l := range links {
		if name := l.Attrs().Name; isCable(stack, name) {
			faults = append(faults, deleteLink(name))
		}
	}
	faults = append(faults, deleteLink(stack.Bridge))
	if err := netlink.RouteDel(unreachable(stack.Subnet)); err != nil && !errors.Is(err, unix.ESRCH) {
		faults = append(faults, fmt.Errorf("remove the unreachable route for %v: %w", stack.Subnet, err))
	}
	return errors.Join(faults...)
}

// hardwareAddr makes a locally administered unicast address.
func hardwareAddr(kind byte, number uint32) net.HardwareAddr {
	return net.HardwareAddr{0x02, kind, byte(number >> 24), byte(number >> 16), byte(number >> 8), byte(number)}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func containsAddr(all []netip.Prefix, network netip.Prefix) bool {
	return slices.ContainsFunc(all, func(s netip.Prefix) bool {
		return s.Masked() == network.Masked()
	})
}

// isCable tells whether a link is one of the stack's VMs'.
func isCable(stack Stack, link string) bool {
	return strings.HasPrefix(link, stack.Name+"v") && len(link) == len(stack.Name)+1+8
}
