package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// guestLink is the VM's end of its cable.
const guestLink = "eth0"

// setUpNetwork gives the VM its addresses. The whole stack is reached directly
// over the bridge; there is no way out of it, and trying fails at once.
func setUpNetwork(c bootConfig) error {
	if err := disableIPv6("all"); err != nil {
		return err
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	link, err := netlink.LinkByName(guestLink)
	if err != nil {
		return fmt.Errorf("%s: %w", guestLink, err)
	}
	for _, a := range c.Addresses {
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(a)}); err != nil {
			return fmt.Errorf("address %v: %w", a, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("%s: %w", guestLink, err)
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(c.StackRange), Scope: unix.RT_SCOPE_LINK, Src: c.Addresses[0].Addr().AsSlice()}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("route to %v: %w", c.StackRange, err)
	}
	return nil
}

// writeResolver names the networks' DNS servers, also before the agent does.
func writeResolver(c bootConfig) error {
	var text strings.Builder
	for _, server := range c.DNS {
		fmt.Fprintf(&text, "nameserver %v\n", server)
	}
	etc := filepath.Join(c.Dir.path(rootDir), "etc")
	if err := os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte(text.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(etc, "hosts"), []byte("127.0.0.1 "+c.Hostname+" localhost\n"), 0o644)
}
