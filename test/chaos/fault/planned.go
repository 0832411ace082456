package fault

import (
	"context"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
)

func plannedFaults() []Fault {
	return []Fault{
		{
			Name: "switchover", About: "the primary's keeper is asked to hand over", Nodes: 2,
			Outage: 3 * time.Second,
			Inject: func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				return nothing, c.Switchover(ctx, primary)
			},
		},
		{
			Name: "drain-primary", About: "bosh stop of the primary, and bosh start", Nodes: 2,
			Outage: 3 * time.Second,
			Inject: func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				return func(ctx context.Context) error { return c.Operator.Start(ctx, primary) }, c.Operator.Stop(ctx, primary)
			},
		},
		{
			Name: "recreate-primary", About: "bosh recreate of the primary's VM", Nodes: 1,
			Outage: 3 * time.Second, Single: 60 * time.Second,
			Inject: func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				return nothing, c.Operator.Recreate(ctx, primary)
			},
		},
		{
			Name: "rolling-restart", About: "bosh restart of all nodes, one after the other", Nodes: 1,
			Outage: 3 * time.Second, Single: 60 * time.Second,
			Inject: func(ctx context.Context, c *cluster.Cluster, _ cluster.Node) (Heal, error) {
				return nothing, c.Operator.Restart(ctx)
			},
		},
	}
}
