package fault

import (
	"context"
	"errors"
	"fmt"
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
	// Outage bounds the write outage seen through the alias, Single that of a
	// server that has no standby (0: only the bound for being whole again).
	Outage, Single time.Duration
	// Inject puts it in place and returns when it is. A planned operation
	// returns when it has ended.
	Inject func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error)
}

// All are the faults in the order they are run.
func All() []Fault {
	return slices.Concat(processFaults(), machineFaults(), networkFaults(), consulFaults(), diskFaults(), plannedFaults())
}

// Select returns the faults of a comma-separated list of names; all of them
// for an empty one.
func Select(names string) ([]Fault, error) {
	all := All()
	if names == "" {
		return all, nil
	}
	var chosen []Fault
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(f Fault) bool { return f.Name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("no fault is called %q; there are %s", name, strings.Join(Names(all), ", "))
		}
		chosen = append(chosen, all[i])
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
	return len(c.Nodes) >= f.Nodes && (!f.NeedsConsul || len(c.Consul) > 0)
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
