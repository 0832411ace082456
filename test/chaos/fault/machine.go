package fault

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
)

func machineFaults() []Fault {
	return []Fault{
		{
			Name: "vm-killed", About: "the primary's VM dies and is recreated at once, with its disk", Nodes: 1,
			Outage: 12 * time.Second, Single: 30 * time.Second, Inject: killVM,
		},
		{
			Name: "vm-killed-60s", About: "the primary's VM dies and stays dead for 60 s", Nodes: 1, Hold: 60 * time.Second,
			Outage: 12 * time.Second, Inject: killVMForLong,
		},
		{
			Name: "standby-killed-60s", About: "a standby's VM dies and stays dead for 60 s", Nodes: 2, Hold: 60 * time.Second,
			Outage: time.Second,
			Inject: func(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				return killVMForLong(ctx, c, c.Standbys(primary)[0])
			},
		},
		{
			Name: "vm-frozen", About: "everything in the primary's VM stops for 20 s and goes on", Nodes: 1, Hold: 20 * time.Second,
			Outage: 12 * time.Second, Single: 25 * time.Second, Isolated: true, Inject: freezeVM,
		},
	}
}

func killVM(_ context.Context, c *cluster.Cluster, node cluster.Node) (Heal, error) {
	vm, err := c.VM(node)
	if err != nil {
		return nil, err
	}
	return nothing, vm.Kill()
}

func killVMForLong(ctx context.Context, c *cluster.Cluster, node cluster.Node) (Heal, error) {
	if err := c.Operator.Resurrect(ctx, false); err != nil {
		return nil, err
	}
	heal := func(ctx context.Context) error { return c.Operator.Resurrect(ctx, true) }
	if _, err := killVM(ctx, c, node); err != nil {
		return nil, errors.Join(err, heal(ctx))
	}
	return heal, nil
}

func freezeVM(_ context.Context, c *cluster.Cluster, node cluster.Node) (Heal, error) {
	vm, err := c.VM(node)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return vm.Thaw() }, vm.Freeze()
}
