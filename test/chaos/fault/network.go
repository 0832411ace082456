package fault

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
)

// cutTime is longer than every lease and time-out.
const cutTime = 30 * time.Second

func networkFaults() []Fault {
	return []Fault{
		{
			Name: "primary-cut-off", About: "the primary reaches nobody, nobody reaches it, for 30 s; it lives on", Nodes: 2, Hold: cutTime, Isolated: true,
			Outage: 12 * time.Second, Median: 8 * time.Second, Promised: true,
			Inject: func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				return heals(c.Network.Isolate(ctx, primary.Address))
			},
		},
		{
			Name: "cut-primary-standby", About: "the primary and one standby do not reach each other for 30 s", Nodes: 3, Hold: cutTime, Isolated: true,
			Outage: 12 * time.Second, Promised: true,
			Inject: func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				return heals(c.Network.Cut(ctx, primary.Address, c.Standbys(primary)[0].Address))
			},
		},
		{
			Name: "cut-primary-consul", About: "the primary reaches none of Consul's servers for 30 s", Nodes: 1, NeedsConsul: true, Hold: cutTime, Isolated: true,
			Outage: 12 * time.Second, Single: 500 * time.Millisecond, Promised: true, Inject: cutConsulFrom,
		},
		{
			Name: "cut-standby-standby", About: "the standbys do not reach each other for 30 s", Nodes: 3, Hold: cutTime,
			Outage: time.Second, Promised: true,
			Inject: func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				standbys := c.Standbys(primary)
				return heals(c.Network.Cut(ctx, standbys[0].Address, standbys[1].Address))
			},
		},
		{
			Name: "slow-network", About: "what the primary sends arrives 200 ms later, 5 % of it never, for 30 s", Nodes: 1, Hold: cutTime,
			Outage: 12 * time.Second, Single: 12 * time.Second,
			Inject: func(_ context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				vm, err := c.VM(primary)
				if err != nil {
					return nil, err
				}
				return heals(c.Network.Slow(vm, 200*time.Millisecond, 5))
			},
		},
		{
			Name: "reboot-cut-off", About: "the primary is cut off for 30 s and its VM is recreated meanwhile", Nodes: 2, Hold: cutTime, Isolated: true,
			Outage: 12 * time.Second, Promised: true, Inject: rebootCutOff,
		},
	}
}

func heals(heal func(context.Context) error, err error) (Heal, error) { return heal, err }

func cutConsulFrom(ctx context.Context, c *cluster.Cluster, node cluster.Node) (Heal, error) {
	var all []Heal
	for _, server := range c.Consul {
		heal, err := c.Network.Cut(ctx, node.Address, server.Address)
		if err != nil {
			return nil, errors.Join(err, healAll(all)(ctx))
		}
		all = append(all, heal)
	}
	return healAll(all), nil
}

func rebootCutOff(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
	heal, err := c.Network.Isolate(ctx, primary.Address)
	if err != nil {
		return nil, err
	}
	if _, err := killVM(ctx, c, primary); err != nil {
		return nil, errors.Join(err, heal(ctx))
	}
	return heal, nil
}
