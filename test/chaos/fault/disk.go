package fault

import (
	"context"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
)

// store is the folder that a node's persistent disk is mounted at.
const store = "/var/vcap/store"

func diskFaults() []Fault {
	return []Fault{
		{
			// What fills it is the primary's alone, so that a standby can go on. A single
			// server cannot write meanwhile.
			Name: "primary-disk-full", About: "the primary's disk is full for 30 s", Nodes: 1, Hold: cutTime, Outage: 12 * time.Second,
			Inject: func(_ context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				return fill(c, primary)
			},
		},
		{
			Name: "standby-disk-full", About: "a standby's disk is full for 30 s", Nodes: 2, Hold: cutTime, Outage: time.Second,
			Inject: func(_ context.Context, c *cluster.Cluster, primary cluster.Node) (Heal, error) {
				return fill(c, c.Standbys(primary)[0])
			},
		},
	}
}

func fill(c *cluster.Cluster, node cluster.Node) (Heal, error) {
	vm, err := c.VM(node)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error {
		// It may be another VM with the same disk by now.
		vm, err := c.VM(node)
		if err != nil {
			return err
		}
		return vm.Empty(store)
	}, vm.Fill(store)
}
