// Package cluster is what the chaos tests know of the cluster under test: its
// nodes, how clients reach it, who is primary and whether it is whole. It asks
// PostgreSQL itself, with a client's credentials, never the part that is
// tested.
package cluster
