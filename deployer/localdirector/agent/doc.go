// Package agent talks to a bosh-agent over its HTTPS message bus: the same
// messages a BOSH director sends over NATS, as POST /agent, and the blobs the
// agent works with as PUT and GET /blobs/ID.
//
// The wire types that the bosh-agent module publishes (applyspec.ApplySpec,
// agentclient.BlobRef) are used as they are. Its HTTP client is not: it takes
// no context, retries without bound, cannot cancel and honours the proxy
// variables of the process.
//
// One Client serves one VM and keeps its connections. It starts no goroutine
// of its own. The local director's operations call it; nothing else does.
package agent
