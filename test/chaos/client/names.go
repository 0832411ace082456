package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Names resolves host names by asking DNS servers directly, the next one when
// one does not answer. Nothing is cached: an app asks before every connect.
type Names struct {
	Servers []string // host:port
	Timeout time.Duration
}

// Lookup returns the addresses of a name; an address is its own.
func (n Names) Lookup(ctx context.Context, name string) ([]string, error) {
	if _, err := netip.ParseAddr(name); err == nil {
		return []string{name}, nil
	}
	if len(n.Servers) == 0 {
		return nil, fmt.Errorf("resolve %s: no DNS server is known", name)
	}
	var faults []error
	for _, server := range n.Servers {
		addresses, err := n.ask(ctx, server, name)
		if err == nil {
			return addresses, nil
		}
		faults = append(faults, err)
	}
	return nil, errors.Join(faults...)
}

func (n Names) ask(ctx context.Context, server, name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, n.Timeout)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}}
	found, err := resolver.LookupNetIP(ctx, "ip4", name+".")
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", server, err)
	}
	addresses := make([]string, len(found))
	for i, a := range found {
		addresses[i] = a.Unmap().String()
	}
	return addresses, nil
}
