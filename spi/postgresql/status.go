package postgresql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/spi"
)

// Status asks every node how it is.
func (s *Service) Status(ctx context.Context, in spi.Instance) (spi.Status, error) {
	status := spi.Status{Healthy: len(in.Nodes) > 0, Message: "all nodes answer", Nodes: []spi.NodeStatus{}}
	if len(in.Nodes) == 0 {
		status.Message = "the instance has no server yet"
	}
	for i := range in.Nodes {
		only := in
		only.Nodes = in.Nodes[i : i+1]
		node := s.nodeStatus(ctx, only)
		if node.Message != "" {
			status.Healthy, status.Message = false, fmt.Sprintf("node %s: %s", node.Name, node.Message)
		}
		status.Nodes = append(status.Nodes, node)
	}
	return status, ctx.Err()
}

func (s *Service) nodeStatus(ctx context.Context, in spi.Instance) spi.NodeStatus {
	node := spi.NodeStatus{Node: in.Nodes[0], Role: "unknown"}
	err := s.onAdmin(ctx, in, adminDatabase, func(ctx context.Context, conn *pgx.Conn) error {
		var standby bool
		var used int64
		err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery(),
			(SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database) + (SELECT coalesce(sum(size), 0)::bigint FROM pg_ls_waldir())`).Scan(&standby, &used)
		if err != nil {
			return err
		}
		node.Role, node.DiskUsed = "primary", &used
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
