// Package realtest holds the tests of operations that need real VMs: a director
// is killed in the middle of deploys, VMs are killed and frozen, and times are
// taken. They need root and take minutes; -short leaves them out.
package realtest
