// Package operation is what the local director's tasks do: deploy and delete
// deployments, stop, start, restart and recreate instances, run errands,
// compile packages, report the state of instances and bring back VMs that died.
//
// An instance has three sides that are kept apart:
//
//   - what the manifest wants of it (a plan, made anew by every task),
//   - what it was last given (the row's Spec, and its VM and disk rows),
//   - what its agent reports.
//
// A deploy compares them and touches only instances that differ (change.go).
// Everything is recorded before it is made: a VM or disk that a killed
// director left half made is found by Recover and removed, and an instance
// whose update did not end is "dirty" and repaired by the next deploy.
//
// Every task works under its deployment's lock, so the rows of a deployment's
// instances have one writer at a time. Addresses are shared by all
// deployments and handed out by the Director (addresses.go).
//
// Stages, texts and codes are those of the BOSH director. What differs: disks
// of a deleted deployment are deleted, not orphaned; a VM whose processes are
// gone is known to be missing without waiting for its agent.
//
// The package refuses to guess: an agent that does not answer fails a deploy
// unless it is asked to fix. The director's HTTP API and the task queue call it.
package operation
