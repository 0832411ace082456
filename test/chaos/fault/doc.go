// Package fault is the list of faults that the chaos tests inject, each with
// the bound on the write outage that it may cost. A fault works on any cluster
// of package cluster: the baselines suffer the same ones.
package fault
