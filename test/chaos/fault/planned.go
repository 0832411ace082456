package fault

import (
	"context"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
)

func plannedFaults() []Fault {
	return []Fault{
		{
			Name: "switchover", About: "the primary hands over to a standby", Nodes: 2, Planned: true,
			Outage: 3 * time.Second, Median: 1500 * time.Millisecond, Promised: true,
			Needs: func(c *cluster.Cluster) bool { return c.Switchover != nil },
			Inject: func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				return nothing, askUntil(ctx, func() error { return c.Switchover(ctx, primary) })
			},
		},
		{
			Name: "drain-primary", About: "bosh stop of the primary, which drains it, and bosh start", Nodes: 2, Planned: true,
			Outage: 3 * time.Second, Median: 1500 * time.Millisecond, Promised: true,
			Inject: func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				return func(ctx context.Context) error { return c.Operator.Start(ctx, primary) }, c.Operator.Stop(ctx, primary)
			},
		},
		{
			Name: "recreate-primary", About: "bosh recreate of the primary's VM", Nodes: 1, Planned: true,
			Outage: 3 * time.Second, Median: 1500 * time.Millisecond, Single: 60 * time.Second, Promised: true,
			Inject: func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				return nothing, c.Operator.Recreate(ctx, primary)
			},
		},
		{
			Name: "rolling-restart", About: "bosh restart of all nodes, one after the other", Nodes: 1, Planned: true,
			Outage: 3 * time.Second, Single: 60 * time.Second,
			Inject: func(ctx context.Context, c *cluster.Cluster, _ cluster.Node) (Heal, error) {
				return nothing, c.Operator.Restart(ctx)
			},
		},
	}
}

// askLimit is how long an operator who is refused asks again: a standby may not
// be fit yet.
const askLimit = 30 * time.Second

func askUntil(ctx context.Context, ask func() error) error {
	limit, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-limit.Done():
			return err
		}
	}
}
