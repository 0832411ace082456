// Package lab reaches into the VMs of a local director from their machine: it
// finds their processes, signals and freezes them, fills their disks and cuts
// their network. It never runs anything inside a VM and leaves nothing behind
// once what it did is healed. It knows neither PostgreSQL nor what is tested.
package lab
