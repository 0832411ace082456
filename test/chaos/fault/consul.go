package fault

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
)

func consulFaults() []Fault {
	return []Fault{
		{
			Name: "consul-leader-killed", About: "the VM of Consul's leader dies and is recreated", Nodes: 1, NeedsConsul: true,
			Outage: 500 * time.Millisecond, Single: 500 * time.Millisecond, Promised: true,
			Shared: func(ctx context.Context, c *cluster.Cluster) (Heal, error) {
				leader, err := c.ConsulLeader(ctx)
				if err != nil {
					return nil, err
				}
				return killVM(ctx, c, leader)
			},
			Inject: noMore,
		},
		{
			Name: "consul-lost", About: "nobody reaches any of Consul's servers for 30 s", Nodes: 1, NeedsConsul: true, Hold: cutTime,
			Outage: 500 * time.Millisecond, Single: 500 * time.Millisecond, Promised: true,
			Shared: loseConsul, Inject: noMore,
		},
		{
			Name: "cut-primary-consul-and-member", About: "the primary reaches neither Consul nor one standby for 30 s", Nodes: 3, NeedsConsul: true, Hold: cutTime, Isolated: true,
			Outage: 12 * time.Second, Promised: true,
			Inject: func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				consul, err := cutConsulFrom(ctx, c, primary)
				if err != nil {
					return nil, err
				}
				member, err := c.Network.Cut(ctx, primary.Address, c.Standbys(primary)[0].Address)
				if err != nil {
					return nil, errors.Join(err, consul(ctx))
				}
				return healAll([]Heal{consul, member}), nil
			},
		},
		{
			Name: "consul-and-member-lost", About: "nobody reaches Consul nor one standby for 30 s", Nodes: 3, NeedsConsul: true, Hold: cutTime, Isolated: true,
			// Nobody may take over without Consul: the primary is fenced until it is back.
			Outage: cutTime + 12*time.Second, Promised: true,
			Shared: loseConsul,
			Inject: func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				return heals(c.Network.Isolate(ctx, c.Standbys(primary)[0].Address))
			},
		},
	}
}

// noMore is of faults that strike all clusters alike.
func noMore(context.Context, *cluster.Cluster, cluster.Node) (Heal, error) { return nothing, nil }

func loseConsul(ctx context.Context, c *cluster.Cluster) (Heal, error) {
	var all []Heal
	for _, server := range c.Consul {
		heal, err := c.Network.Isolate(ctx, server.Address)
		if err != nil {
			return nil, errors.Join(err, healAll(all)(ctx))
		}
		all = append(all, heal)
	}
	return healAll(all), nil
}
