// Package deployertest is the conformance suite of the deployer contract:
// every implementation, and the client in front of a handler, passes it.
package deployertest
