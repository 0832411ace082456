package vm_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
	"github.com/vishvananda/netlink"
)

// traces lists all that a stack has on this machine. It looks for what bears
// the stack's name, lies in its folder or in its subnet, so that other stacks
// may come and go meanwhile.
func traces(t *testing.T, stack vm.Stack, dir string) []string {
	t.Helper()
	var found []string
	add := func(format string, a ...any) { found = append(found, fmt.Sprintf(format, a...)) }
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, stack.Name) {
			add("link %s", l.Attrs().Name)
		}
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		if addr, ok := netip.AddrFromSlice(r.Dst.IP.To4()); ok && stack.Subnet.Contains(addr) {
			add("route %v", r)
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/*/" + stack.Name, "/sys/fs/cgroup/" + stack.Name} {
		groups, _ := filepath.Glob(pattern)
		for _, g := range groups {
			add("cgroup %s", g)
		}
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, l := range loops {
		if raw, err := os.ReadFile(l); err == nil && strings.HasPrefix(string(raw), dir+"/") {
			add("%s of %s", l, strings.TrimSpace(string(raw)))
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		raw, _ := os.ReadFile(p + "/mountinfo")
		if strings.Contains(string(raw), dir+"/") {
			command, _ := os.ReadFile(p + "/comm")
			add("process or mount: %s %s", p, strings.TrimSpace(string(command)))
		}
	}
	if raw, err := os.ReadFile("/run/holdfast/stacks.json"); err == nil && strings.Contains(string(raw), `"`+stack.Name+`"`) {
		add("registration of %s", stack.Name)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		add("files in %s", dir)
	}
	slices.Sort(found)
	return found
}

func hasTrace(found []string, prefix string) bool {
	return slices.ContainsFunc(found, func(s string) bool { return strings.HasPrefix(s, prefix) })
}
