package fault

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
)

// Heal takes away what a fault put in place.
type Heal func(ctx context.Context) error

// Fault is one kind of it.
type Fault struct {
	Name  string
	About string
	// Nodes is how many nodes it takes at least; with 1 a single server can
	// suffer it.
	Nodes int
	// NeedsConsul: it is about Consul's servers.
	NeedsConsul bool
	// Hold is how long it lasts before it is healed.
	Hold time.Duration
	// Isolated: a client stays on the primary's side of the cut.
	Isolated bool
	// Outage bounds the write outage seen through the alias, Median that of the
	// middle of all runs, Single that of a server that has no standby (0: only
	// the bound for being whole again).
	Outage, Median, Single time.Duration
	// Promised: its bounds are what Holdfast promises; those of others only say
	// what would be a surprise.
	Promised bool
	// Planned: somebody wants it, so that nothing may be lost with asynchronous
	// replication either.
	Planned bool
	// Needs tells what else a cluster must have to suffer it; nil: nothing.
	Needs func(c *cluster.Cluster) bool
	// Shared injects the part of it that strikes every cluster on the same
	// Consul; nil: it strikes one cluster only.
	Shared func(ctx context.Context, c *cluster.Cluster) (Heal, error)
	// Inject puts it in place and returns when it is. A planned operation
	// returns when it has ended.
	Inject func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error)
}

// groups are names for several faults. main are those that clusters are made
// for, planned work included.
var groups = map[string][]string{
	"main":   {"postgres-killed", "vm-killed-60s", "primary-cut-off", "switchover", "drain-primary", "recreate-primary"},
	"crash":  {"postgres-killed", "vm-killed-60s", "primary-cut-off"},
	"tested": {"postgres-killed", "vm-killed"}, // as a part of the tests
}

// All are the faults in the order they are run.
func All() []Fault {
	return slices.Concat(processFaults(), machineFaults(), networkFaults(), consulFaults(), diskFaults(), plannedFaults())
}

// Find returns the fault with a name.
func Find(name string) (Fault, bool) {
	all := All()
	if i := slices.IndexFunc(all, func(f Fault) bool { return f.Name == name }); i >= 0 {
		return all[i], true
	}
	return Fault{}, false
}

// Select returns the fault with a name, or those of a group; all of them for
// "all".
func Select(name string) ([]Fault, error) {
	all := All()
	if name == "all" {
		return all, nil
	}
	names, ok := groups[name]
	if !ok {
		names = []string{name}
	}
	var chosen []Fault
	for _, name := range names {
		f, ok := Find(name)
		if !ok {
			return nil, fmt.Errorf("no fault is called %q; there are all, %s, %s", name, strings.Join(slices.Sorted(maps.Keys(groups)), ", "), strings.Join(Names(all), ", "))
		}
		chosen = append(chosen, f)
	}
	return chosen, nil
}

// Names of faults.
func Names(faults []Fault) []string {
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = f.Name
	}
	return names
}

// Suits tells whether a cluster can suffer the fault.
func (f Fault) Suits(c *cluster.Cluster) bool {
	return len(c.Nodes) >= f.Nodes && (!f.NeedsConsul || len(c.Consul) > 0) && (f.Needs == nil || f.Needs(c))
}

// Limit is the fault's bound on the write outage of a cluster; 0: none.
func (f Fault) Limit(c *cluster.Cluster) time.Duration {
	if len(c.Nodes) == 1 {
		return f.Single
	}
	return f.Outage
}

// nothing is what is to heal where a fault is over once it has struck.
func nothing(context.Context) error { return nil }

// healAll heals several, all of them even when one fails.
func healAll(heals []Heal) Heal {
	return func(ctx context.Context) error {
		var faults []error
		for _, heal := range heals {
			faults = append(faults, heal(ctx))
		}
		return errors.Join(faults...)
	}
}
