package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// CreateSlot makes the slot of a standby. Repeatable.
func (c *Cluster) CreateSlot(ctx context.Context, node decide.Node) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return createSlot(ctx, conn, node)
}

func createSlot(ctx context.Context, conn *pgx.Conn, node decide.Node) error {
	_, err := conn.Exec(ctx, "SELECT pg_create_physical_replication_slot($1, true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)", slotName(node))
	if err != nil {
		return fmt.Errorf("create the slot of %s: %w", node, err)
	}
	return nil
}

// DropSlot drops the slot of a node that is gone. Repeatable.
func (c *Cluster) DropSlot(ctx context.Context, node decide.Node) error {
	name := slotName(node)
	err := c.exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active", name)
	if err != nil {
		return fmt.Errorf("drop the slot of %s: %w", node, err)
	}
	return nil
}

// AdvanceSlots has a standby's slots hold no more log than it needs itself when it
// starts again: log from its last restartpoint on.
func (c *Cluster) AdvanceSlots(ctx context.Context) error {
	const ours = "slot_type = 'physical' AND NOT active AND slot_name LIKE 'holdfast\\_%'"
	err := c.exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE wal_status = 'lost' AND "+ours)
	if err == nil {
		err = c.exec(ctx, "SELECT pg_replication_slot_advance(slot_name, redo_lsn) FROM pg_replication_slots, pg_control_checkpoint() WHERE restart_lsn < redo_lsn AND "+ours)
	}
	if err != nil {
		return fmt.Errorf("advance the slots: %w", err)
	}
	return nil
}

// dropSlotsOffline removes the slots of a server that starts as a standby: they
// would keep log for as long as it does not stream. Then they are made anew.
func (c *Cluster) dropSlotsOffline() error {
	slots, err := filepath.Glob(c.in("pg_replslot/" + slotPrefix + "*"))
	if err != nil {
		return err
	}
	for _, slot := range slots {
		if err := os.RemoveAll(slot); err != nil {
			return fmt.Errorf("remove a former primary's slot: %w", err)
		}
	}
	return nil
}
