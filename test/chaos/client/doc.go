// Package client writes to and reads from a cluster as apps do, and keeps
// outside of it what was acknowledged: row by row, by which node, on which
// timeline and when. All clients of a run share one Clock, so that what two
// servers acknowledge can be put in order. It injects nothing and judges
// nothing: package report does.
package client
