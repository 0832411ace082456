//go:build tools

// Package consul pins the module that the release's Consul is built from. It is
// a module of its own: a server's dependencies are no business of Holdfast's.
// The modules beside it in go.mod are Consul's own; it requires versions of them
// that were never published.
package consul

import _ "github.com/hashicorp/consul"
