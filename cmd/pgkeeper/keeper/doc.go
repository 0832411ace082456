// Package keeper is the loop that keeps a node: it observes PostgreSQL, the
// guard, Consul and the other nodes' keepers, has decide.Decide judge, and
// carries the actions out. It holds no opinion of its own.
package keeper
