package resolver

import (
	"context"
	"net"
	"strings"
)

// Lookup returns a function that finds a host's addresses: names of the domain
// by asking the resolver at address (host:port), others as this machine does.
func Lookup(address, domain string) func(ctx context.Context, host string) ([]string, error) {
	ours := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	return func(ctx context.Context, host string) ([]string, error) {
		name := strings.ToLower(strings.TrimSuffix(host, "."))
		if !strings.HasSuffix(name, "."+domain) {
			return net.DefaultResolver.LookupHost(ctx, host)
		}
		// With the dot nobody's search list is tried.
		return ours.LookupHost(ctx, name+".")
	}
}
