// Package httpapi speaks the BOSH director's HTTP API, so that the stock bosh
// CLI and every client of a director can drive the local one. It answers as a
// director v276 with local users does: status codes, bodies, content types
// (JSON often as text/html) and error codes; what it must not copy are leaks
// and unbounded requests.
//
// The package translates: a request becomes a task on the queue, or a read of
// the database. What tasks do is said by package operation (deployments) and
// package upload (artifacts), which it meets through the interfaces in
// server.go.
//
// It refuses, each with a sentence: remote uploads, compiled releases,
// `logs`, `ssh`, snapshots, cloud check and clean-up.
package httpapi
