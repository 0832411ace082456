// Package bosh is the deployer on a BOSH director: the director's HTTP API
// through the BOSH CLI's own client (bosh-cli/v7/director), without what makes
// that client unfit for a server: it repeats every request on a transport
// error, waits for tasks, has no time-outs and flattens errors to text.
//
// The director is the only memory. An operation id is the context id of the
// operation's tasks; before anything is submitted, the tasks that carry it are
// looked up. What to do next is a pure function of what was observed
// (decide.go). A lost answer can still leave a late or a second task: the
// director's lock on the deployment and equal manifests make at most one
// effective, and a delete looks again after it is done.
//
// No call waits for a task: callers poll.
package bosh
