// Package discover stands in for the module of this name, which finds servers by
// asking a dozen clouds, each with a library of its own. Ours are found by their
// addresses, so Consul is built without them: 112 packages less to compile.
package discover

import (
	"fmt"
	"log"
)

// Provider would ask a cloud.
type Provider interface {
	Addrs(args map[string]string, log *log.Logger) ([]string, error)
	Help() string
}

// Providers are those that Consul is built with: none.
var Providers = map[string]Provider{}

// Discover finds no servers.
type Discover struct{}

// Option is what Consul would set.
type Option func(*Discover) error

// New returns a Discover. It cannot fail.
func New(...Option) (*Discover, error) { return &Discover{}, nil }

// WithUserAgent has no effect.
func WithUserAgent(string) Option { return nil }

// WithProviders has no effect.
func WithProviders(map[string]Provider) Option { return nil }

// Names lists the clouds that can be asked.
func (*Discover) Names() []string { return nil }

// Addrs refuses a "provider=…" among the addresses to join.
func (*Discover) Addrs(config string, _ *log.Logger) ([]string, error) {
	return nil, fmt.Errorf("this Consul is built without cloud auto-join: give addresses to join, not %q", config)
}
