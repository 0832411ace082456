package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/test/chaos/client"
	"github.com/holdfast-osb/holdfast/test/chaos/lab"
)

// Node is one server's place: it keeps name and address when its VM is
// recreated.
type Node struct {
	Name    string // instance group and index: "postgresql/0"
	Address string
}

// Cluster is one under test.
type Cluster struct {
	Nodes  []Node
	Consul []Node // its servers; none: a single node without Consul

	Login        client.Login
	Alias        string // names the primary; an address with a single node without Consul
	ReplicaAlias string // names the standbys; empty: there are none
	Hosts        []string
	Names        client.Names

	Parts Parts
	// Switchover has the primary hand over to a standby and returns when it has;
	// nil: this cluster has no such command.
	Switchover func(ctx context.Context, primary Node) error

	// Repair is what somebody does by hand for a cluster that does not heal by
	// itself; nil: it is replaced.
	Repair func(ctx context.Context) error

	Operator    Operator
	Network     *lab.Network
	DirectorDir string

	sessions sessions
}

// Parts tell the processes of a node that keep the cluster alive; nil: it has
// no such process.
type Parts struct {
	Keeper  func(lab.Process) bool // decides who is primary
	Guard   func(lab.Process) bool // is the server's parent and its fence
	Repmgrd func(lab.Process) bool // besides a keeper
}

// Operator is what the one who runs the machines can do.
type Operator interface {
	// Resurrect switches the resurrection of a node's VM on or off.
	Resurrect(ctx context.Context, node Node, on bool) error
	// Stop stops a node's processes, after it was drained, and Start starts them.
	Stop(ctx context.Context, node Node) error
	Start(ctx context.Context, node Node) error
	// Recreate replaces a node's VM, with its disk, after it was drained.
	Recreate(ctx context.Context, node Node) error
	// Restart restarts all nodes, one after the other.
	Restart(ctx context.Context) error
}

// VM is what runs at a node's place now.
func (c *Cluster) VM(node Node) (lab.VM, error) { return lab.Find(c.DirectorDir, node.Address) }

// Standbys are the nodes beside the primary.
func (c *Cluster) Standbys(primary Node) []Node {
	return slices.DeleteFunc(slices.Clone(c.Nodes), func(n Node) bool { return n == primary })
}

// questionLimit bounds one question to one server.
const questionLimit = 2 * time.Second

// Primary is the one node that is not in recovery.
func (c *Cluster) Primary(ctx context.Context) (Node, error) {
	recovering := askAll[bool](ctx, c, "SELECT pg_is_in_recovery()")
	var primary []Node
	var faults []error
	for i, node := range c.Nodes {
		if recovering[i].err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", node.Name, recovering[i].err))
		} else if !recovering[i].value {
			primary = append(primary, node)
		}
	}
	if len(primary) != 1 {
		return Node{}, errors.Join(append(faults, fmt.Errorf("%d nodes take writes: %v", len(primary), primary))...)
	}
	return primary[0], nil
}

// Newest is the node that takes writes; where several do, the one on the newest
// timeline, which is the last that was promoted.
func (c *Cluster) Newest(ctx context.Context) (Node, error) {
	var newest Node
	timeline := ""
	faults := []error{errors.New("no node takes writes")}
	all := askAll[*string](ctx, c, "SELECT CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END")
	for i, node := range c.Nodes {
		its, err := all[i].value, all[i].err
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("%s: %w", node.Name, err))
		case its != nil && *its > timeline:
			newest, timeline = node, *its
		}
	}
	if timeline == "" {
		return Node{}, errors.Join(faults...)
	}
	return newest, nil
}

// Whole checks that all nodes serve: one is the primary and the alias names it,
// and what it commits arrives at every other one.
func (c *Cluster) Whole(ctx context.Context) error {
	primary, err := c.Primary(ctx)
	if err != nil {
		return err
	}
	named, err := c.Names.Lookup(ctx, c.Alias)
	if err != nil {
		return err
	}
	if !slices.Equal(named, []string{primary.Address}) {
		return fmt.Errorf("the alias names %v, the primary is %s", named, primary.Address)
	}
	// The clients write all the time: a standby has to reach what the primary
	// has written by now.
	position, err := ask[string](ctx, c, primary, "SELECT pg_current_wal_insert_lsn()::text")
	if err != nil {
		return fmt.Errorf("%s: %w", primary.Name, err)
	}
	for _, standby := range c.Standbys(primary) {
		if err := c.reach(ctx, standby, position); err != nil {
			return fmt.Errorf("%s: %w", standby.Name, err)
		}
	}
	return nil
}

// Astray are the nodes that do not follow the newest primary.
func (c *Cluster) Astray(ctx context.Context) ([]Node, error) {
	primary, err := c.Newest(ctx)
	if err != nil {
		return nil, err
	}
	position, err := ask[string](ctx, c, primary, "SELECT pg_current_wal_insert_lsn()::text")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", primary.Name, err)
	}
	var astray []Node
	for _, node := range c.Standbys(primary) {
		recovering, err := ask[bool](ctx, c, node, "SELECT pg_is_in_recovery()")
		if err != nil || !recovering || c.reach(ctx, node, position) != nil {
			astray = append(astray, node)
		}
	}
	return astray, nil
}

// reach waits a moment for a standby to replay a position.
func (c *Cluster) reach(ctx context.Context, standby Node, position string) error {
	ctx, cancel := context.WithTimeout(ctx, questionLimit)
	defer cancel()
	tick := time.NewTicker(client.Pause)
	defer tick.Stop()
	for {
		there, err := ask[bool](ctx, c, standby, "SELECT coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)", position)
		if err != nil || there {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it does not reach %s", position)
		}
	}
}

// Stored returns the ids of the clients' rows that a node has.
func (c *Cluster) Stored(ctx context.Context, node Node) (map[int64]bool, error) {
	conn, err := c.connect(ctx, node)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, "SELECT id FROM "+client.Table)
	if err != nil {
		return nil, fmt.Errorf("read the rows back: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("read the rows back: %w", err)
	}
	stored := make(map[int64]bool, len(ids))
	for _, id := range ids {
		stored[id] = true
	}
	return stored, nil
}

// Prepare makes the clients' table, and waits until every node has it.
func (c *Cluster) Prepare(ctx context.Context) error {
	primary, err := c.Primary(ctx)
	if err != nil {
		return err
	}
	conn, err := c.connect(ctx, primary)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := client.Prepare(ctx, conn); err != nil {
		return err
	}
	return c.Whole(ctx)
}

func (c *Cluster) connect(ctx context.Context, node Node) (*pgx.Conn, error) {
	return c.Login.To(node.Address, client.Names{})(ctx)
}
