package postgresql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/spi"
)

// Status asks every node how it is, and Consul whom the alias names.
func (s *Service) Status(ctx context.Context, in spi.Instance) (spi.Status, error) {
	status := spi.Status{Healthy: len(in.Nodes) > 0, Message: "all nodes answer", Nodes: []spi.NodeStatus{}}
	wrong := func(format string, args ...any) {
		if status.Healthy {
			status.Healthy, status.Message = false, fmt.Sprintf(format, args...)
		}
	}
	if len(in.Nodes) == 0 {
		status.Message = "the instance has no server yet"
	}
	primary := ""
	var written int64 // the primary's position in WAL
	replayed := make([]int64, len(in.Nodes))
	for i, node := range in.Nodes {
		state := s.nodeStatus(ctx, in, node, &replayed[i])
		switch {
		case state.Message != "":
			wrong("node %s: %s", node.Name, state.Message)
		case state.Role == "primary" && primary != "":
			wrong("two nodes say that they are primary")
		case state.Role == "primary":
			primary, written = node.Address, replayed[i]
		}
		status.Nodes = append(status.Nodes, state)
	}
	if len(in.Nodes) > 0 && primary == "" {
		wrong("no node is primary")
	}
	for i := range status.Nodes {
		if node := &status.Nodes[i]; node.Role == "standby" && primary != "" {
			// Asked at different moments: it may seem to be ahead.
			lag := max(written-replayed[i], 0)
			node.LagBytes = &lag
		}
	}
	target, err := s.consul.aliasTarget(ctx, in.Deployment)
	switch {
	case err != nil:
		s.log.WarnContext(ctx, "Consul does not tell an alias's target", "error", err.Error())
		wrong("Consul does not answer")
	case target != primary:
		wrong("the alias does not name the primary")
	}
	status.AliasTarget = target
	return status, ctx.Err()
}

// nodeStatus asks one node, also for its position in WAL: written on a primary,
// replayed on a standby.
func (s *Service) nodeStatus(ctx context.Context, in spi.Instance, of spi.Node, position *int64) spi.NodeStatus {
	node := spi.NodeStatus{Node: of, Role: "unknown"}
	err := s.onNode(ctx, in, of, adminDatabase, func(ctx context.Context, conn *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, roleTimeout)
		defer cancel()
		var standby bool
		var used int64
		var lag *float64
		err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery(),
			(SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database) + (SELECT coalesce(sum(size), 0)::bigint FROM pg_ls_waldir()),
			pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, '0/0')::bigint,
			CASE WHEN NOT pg_is_in_recovery() THEN NULL
				WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
				ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float8`).Scan(&standby, &used, position, &lag)
		if err != nil {
			return err
		}
		node.Role, node.DiskUsed, node.LagSeconds = "primary", &used, lag
		if standby {
			node.Role = "standby"
		}
		return nil
	})
	if err != nil {
		s.log.WarnContext(ctx, "a node does not tell its status", "node", node.Name, "error", err.Error())
		node.Message = "the server does not answer"
	}
	return node
}
