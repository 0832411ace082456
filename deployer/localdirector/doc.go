// Package localdirector is a BOSH director for one machine: it speaks the
// director's HTTP API, so that the stock bosh CLI and every client of a
// director can drive it, and runs each VM as a group of Linux namespaces with
// the real bosh-agent inside.
//
// Its parts, from the door inwards:
//
//	httpapi    requests become tasks, or reads of the database
//	task       queue, workers, outputs, locks
//	upload     tasks on releases and stemcells
//	operation  tasks on deployments; resurrection
//	manifest, variables, release, render   what a deploy is computed from
//	psych      YAML as the director's Ruby reads it
//	agent, vm  the agents, and the VMs they run in
//	db         what must survive
//
// Run wires them; everything it keeps lies below one folder (paths.go). VMs
// outlive the director: whoever starts it again in the same folder adopts
// them. Destroy removes all of it.
//
// HTTP is the only door: the package imports nothing else of this module, and
// nothing but the command that runs it imports the package.
package localdirector
