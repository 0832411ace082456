// Package vm runs VMs on this machine: groups of Linux namespaces (mount, pid,
// net, uts, ipc, cgroup) with an overlay root on a stemcell, an address of
// their own, persistent disks of exactly their size, and memory and CPU limits.
// It is the local director's cloud provider interface.
//
// All of it belongs to a stack: a short name, which every link and cgroup
// bears, and a subnet, both chosen once and recorded in the state folder. Two
// stacks do not see each other. Nothing is touched that the stack did not make.
//
// VMs outlive the process that started them. Open finds those that still run by
// pid and start time and watches them again. Destroy removes every trace of a
// stack, whether or not a director runs.
//
// A VM's root is root in its namespaces without the capabilities that reach the
// machine (modules, raw devices, clock, device nodes). That keeps VMs apart and
// the host out of sight for releases one trusts as one trusts BOSH releases; it
// is no wall against a hostile root.
//
// The package must run as root. Only the local director calls it.
package vm
