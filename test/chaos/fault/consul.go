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
			Outage: 500 * time.Millisecond, Single: 500 * time.Millisecond,
			Inject: func(ctx context.Context, c *cluster.Cluster, _ cluster.Node) (Heal, error) {
				leader, err := c.ConsulLeader(ctx)
				if err != nil {
					return nil, err
				}
				return killVM(ctx, c, leader)
			},
		},
		{
			Name: "consul-lost", About: "nobody reaches any of Consul's servers for 30 s", Nodes: 1, NeedsConsul: true, Hold: cutTime,
			Outage: 500 * time.Millisecond, Single: 500 * time.Millisecond,
			Inject: func(ctx context.Context, c *cluster.Cluster, _ cluster.Node) (Heal, error) { return loseConsul(ctx, c) },
		},
		{
			Name: "cut-primary-consul-and-member", About: "the primary reaches neither Consul nor one standby for 30 s", Nodes: 3, NeedsConsul: true, Hold: cutTime, Isolated: true,
			Outage: 12 * time.Second,
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
			Outage: cutTime + 12*time.Second,
			Inject: func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				consul, err := loseConsul(ctx, c)
				if err != nil {
					return nil, err
				}
				member, err := c.Network.Isolate(ctx, c.Standbys(primary)[0].Address)
				if err != nil {
					return nil, errors.Join(err, consul(ctx))
				}
				return healAll([]Heal{consul, member}), nil
			},
		},
	}
}

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
