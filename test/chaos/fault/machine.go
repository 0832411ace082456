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
			Outage: 12 * time.Second, Median: 8 * time.Second, Promised: true, Inject: killVMForLong,
		},
		{
			Name: "vm-and-disk-lost", About: "the primary's VM dies and is recreated at once, with an empty disk", Nodes: 2,
			Outage: 12 * time.Second, Inject: loseVMAndDisk,
		},
		{
			Name: "two-vms-killed", About: "the primary's VM dies, and its successor's once there is one", Nodes: 3, Inject: killTwo,
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
			Outage: 12 * time.Second, Single: 25 * time.Second, Promised: true, Isolated: true, Inject: freezeVM,
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
	if err := c.Operator.Resurrect(ctx, node, false); err != nil {
		return nil, err
	}
	heal := func(ctx context.Context) error { return c.Operator.Resurrect(ctx, node, true) }
	if _, err := killVM(ctx, c, node); err != nil {
		return nil, errors.Join(err, heal(ctx))
	}
	return heal, nil
}

// loseVMAndDisk empties the disk of a VM that cannot see it any more, then
// lets the VM die.
func loseVMAndDisk(_ context.Context, c *cluster.Cluster, node cluster.Node) (Heal, error) {
	vm, err := c.VM(node)
	if err != nil {
		return nil, err
	}
	if err := vm.Freeze(); err != nil {
		return nil, err
	}
	// A frozen process may only die once it goes on.
	return nothing, errors.Join(vm.Erase(store), vm.Kill(), vm.Thaw())
}

// killTwo waits for a successor for as long as a takeover may last, no longer.
func killTwo(ctx context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
	if _, err := killVM(ctx, c, primary); err != nil {
		return nil, err
	}
	limit, cancel := context.WithTimeout(ctx, cutTime)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if next, err := c.Newest(limit); err == nil {
			return killVM(ctx, c, next)
		}
		select {
		case <-tick.C:
		case <-limit.Done():
			return nothing, ctx.Err() // nobody took over: that is the result
		}
	}
}

func freezeVM(_ context.Context, c *cluster.Cluster, node cluster.Node) (Heal, error) {
	vm, err := c.VM(node)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return vm.Thaw() }, vm.Freeze()
}
