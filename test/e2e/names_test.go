package e2e

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/test/stacktest"
)

// names checks that Consul runs as a part of the stack, not as an instance, and
// that this machine can ask for names.
func names(t *testing.T, s *stacktest.Stack) {
	s.Refresh()
	if s.Status.Consul.Leader == "" || len(s.Status.Consul.Servers) != 1 {
		t.Errorf("Consul: got %+v", s.Status.Consul)
	}
	if len(s.Status.Deployments) != 0 {
		t.Errorf("got deployments %v, want none: Consul is no instance", s.Status.Deployments)
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.Status.Consul.Resolver)
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	addresses, err := resolver.LookupHost(ctx, "consul.service."+s.Status.Consul.Domain+".")
	if err != nil || len(addresses) != 1 || addresses[0] != s.Status.Consul.Servers[0] {
		t.Errorf("got %v, %v, want Consul's own address", addresses, err)
	}
	_, err = resolver.LookupHost(ctx, "primary.nobody.service."+s.Status.Consul.Domain+".")
	var fault *net.DNSError
	if !errors.As(err, &fault) || !fault.IsNotFound {
		t.Errorf("a name that nobody has: got %v, want not found", err)
	}
}
