package vm

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
)

// stackFile is the record of the stack in its folder.
const stackFile = "stack.json"

// stackRecord is what stackFile holds. The limits are for whoever reads it
// while the Host belongs to another process.
type stackRecord struct {
	Stack
	Limits Limits `json:"limits"`
}

// Inspect reads the stack recorded in dir and the limits that held when it was
// opened last. It needs no Host and disturbs none. ErrNotFound: none was opened
// there yet.
func Inspect(dir string) (Stack, Limits, error) {
	var r stackRecord
	err := readJSON(filepath.Join(dir, stackFile), &r)
	if errors.Is(err, fs.ErrNotExist) {
		return Stack{}, Limits{}, fmt.Errorf("stack in %s: %w", dir, ErrNotFound)
	}
	return r.Stack, r.Limits, err
}

// stacksRange is where stacks take their subnets from, stackBits their length.
// RFC 2544 sets it aside for benchmarks: unlike private ranges, nothing that
// this machine reaches through its default route should live there.
var stacksRange = netip.MustParsePrefix("198.18.0.0/15")

const stackBits = 20

// openStack reads the stack recorded in dir and registers it again, or chooses
// and records one.
func openStack(dir string) (Stack, error) {
	var stack Stack
	err := readJSON(filepath.Join(dir, stackFile), &stack)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Stack{}, fmt.Errorf("read the stack's record: %w", err)
	}
	known := err == nil
	err = withRegistry(func(all []registration) ([]registration, error) {
		if known {
			return register(all, stack, dir)
		}
		if stack, err = chooseStack(all); err != nil {
			return nil, err
		}
		// Recorded before it is registered: a registration without a record is void.
		if err := writeJSON(filepath.Join(dir, stackFile), stack); err != nil {
			return nil, err
		}
		return append(all, registration{stack, dir}), nil
	})
	return stack, err
}

// register enters a stack that was chosen earlier, unless another one has
// taken its place since.
func register(all []registration, stack Stack, dir string) ([]registration, error) {
	for _, r := range all {
		if r.Dir == dir && r.Name == stack.Name {
			return all, nil
		}
		if r.Name == stack.Name || r.Subnet.Overlaps(stack.Subnet) {
			return nil, fmt.Errorf("stack %s of %s clashes with stack %s of %s: remove one of them", stack.Name, dir, r.Name, r.Dir)
		}
	}
	return append(all, registration{stack, dir}), nil
}

func unregister(dir string, stack Stack) error {
	return withRegistry(func(all []registration) ([]registration, error) {
		var rest []registration
		for _, r := range all {
			if r.Dir != dir && r.Name != stack.Name {
				rest = append(rest, r)
			}
		}
		return rest, nil
	})
}

// chooseStack finds a name and a subnet that no stack, link, cgroup, address or
// route on this machine uses.
func chooseStack(all []registration) (Stack, error) {
	used, err := usedPrefixes()
	if err != nil {
		return Stack{}, err
	}
	names, err := usedNames()
	if err != nil {
		return Stack{}, err
	}
	for _, r := range all {
		used = append(used, r.Subnet)
		names = append(names, r.Name)
	}
	subnet, err := freeSubnet(used, randomNumber())
	if err != nil {
		return Stack{}, err
	}
	for range 1000 {
		name := "hf" + strings.ToLower(rand.Text())[:2]
		if !hasPrefixIn(names, name) {
			return Stack{Name: name, Subnet: subnet, Bridge: name + "br"}, nil
		}
	}
	return Stack{}, errors.New("choose a stack's name: all are taken")
}

// freeSubnet returns the first subnet from a starting point on that overlaps nothing used.
func freeSubnet(used []netip.Prefix, start uint32) (netip.Prefix, error) {
	count := uint32(1) << (stackBits - stacksRange.Bits())
	base := binary.BigEndian.Uint32(stacksRange.Addr().AsSlice())
next:
	for i := range count {
		var raw [4]byte
		binary.BigEndian.PutUint32(raw[:], base+((start+i)%count)<<(32-stackBits))
		candidate := netip.PrefixFrom(netip.AddrFrom4(raw), stackBits)
		for _, u := range used {
			if u.Overlaps(candidate) {
				continue next
			}
		}
		return candidate, nil
	}
	return netip.Prefix{}, fmt.Errorf("choose a stack's subnet: none is free in %v", stacksRange)
}

// usedPrefixes lists all addresses, routes but the default route, and the name
// servers, which may be behind that one.
func usedPrefixes() ([]netip.Prefix, error) {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var used []netip.Prefix
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		if addr, ok := netip.AddrFromSlice(r.Dst.IP.To4()); ok {
			bits, _ := r.Dst.Mask.Size()
			if bits > 0 {
				used = append(used, netip.PrefixFrom(addr, bits))
			}
		}
	}
	resolver, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for name servers: %w", err)
	}
	return append(used, nameServers(string(resolver))...), nil
}

// nameServers reads the IPv4 name servers of a resolv.conf(5).
func nameServers(resolver string) []netip.Prefix {
	var servers []netip.Prefix
	for line := range strings.Lines(resolver) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil && addr.Is4() {
			servers = append(servers, netip.PrefixFrom(addr, 32))
		}
	}
	return servers
}

// usedNames lists the links and top-level cgroups of this machine.
func usedNames() ([]string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var names []string
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	groups, err := filepath.Glob("/sys/fs/cgroup/*/hf*")
	if err != nil {
		return nil, err
	}
	more, err := filepath.Glob("/sys/fs/cgroup/hf*")
	if err != nil {
		return nil, err
	}
	for _, g := range append(groups, more...) {
		names = append(names, filepath.Base(g))
	}
	return names, nil
}

func hasPrefixIn(names []string, prefix string) bool {
	for _, n := range names {
		if strings.HasPrefix(n, prefix) {
			return true
		}
	}
	return false
}

func randomNumber() uint32 {
	var raw [4]byte
	_, _ = rand.Read(raw[:]) // never fails
	return binary.BigEndian.Uint32(raw[:])
}

// stackIsGone tells whether Destroy has begun with the stack in dir.
func stackIsGone(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, stackFile))
	return errors.Is(err, fs.ErrNotExist)
}
