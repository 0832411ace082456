package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
)

// Leftovers lists what on this machine still belongs to a stack: processes,
// mounts and loop devices that name its folder, and links and routes of its
// network. It is what tests and the demo look at after Down; name is the
// stack's, empty when there was none.
func Leftovers(folder Folder, network Network) ([]string, error) {
	left, err := mountsBelow(string(folder))
	if err != nil {
		return nil, err
	}
	left = append(left, loopsBelow(string(folder))...)
	left = append(left, processesNaming(string(folder))...)
	links, err := linksOf(network)
	if err != nil {
		return nil, err
	}
	left = append(left, links...)
	if _, err := os.Stat(string(folder)); err == nil {
		left = append(left, "folder "+string(folder))
	}
	return left, nil
}

func mountsBelow(folder string) ([]string, error) {
	content, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	var left []string
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, folder+"/") {
			left = append(left, "mount "+strings.Fields(line)[1])
		}
	}
	return left, nil
}

func loopsBelow(folder string) []string {
	var left []string
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, file := range files {
		if backing, err := os.ReadFile(file); err == nil && strings.HasPrefix(string(backing), folder+"/") {
			left = append(left, "loop device of "+strings.TrimSpace(string(backing)))
		}
	}
	return left
}

func processesNaming(folder string) []string {
	var left []string
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		pid := filepath.Base(filepath.Dir(file))
		if pid == strconv.Itoa(os.Getpid()) {
			continue
		}
		content, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(content), folder+"/") {
			left = append(left, fmt.Sprintf("process %s: %.100s", pid, strings.ReplaceAll(string(content), "\x00", " ")))
		}
	}
	return left
}

func linksOf(network Network) ([]string, error) {
	if network.Name == "" {
		return nil, nil
	}
	var left []string
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	for _, link := range links {
		if link.Attrs().Name == network.Bridge || strings.HasPrefix(link.Attrs().Name, network.Name+"-") {
			left = append(left, "link "+link.Attrs().Name)
		}
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, route := range routes {
		if route.Dst != nil && network.Subnet.IsValid() {
			if ip, ok := netipAddr(route.Dst.IP); ok && network.Subnet.Contains(ip) {
				left = append(left, "route "+route.Dst.String())
			}
		}
	}
	return left, nil
}
