package postgresql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/spi"
)

// errStandby is what a node says that does not take writes now.
var errStandby = errors.New("the server does not take writes")

// roleTimeout bounds the question for a node's role: a connection to a node
// that was cut off hangs.
const roleTimeout = 2 * time.Second

// onPrimary runs f on an administrator's connection to a database of the
// instance's primary, wherever that is now. During a failover it looks again,
// for a bounded time. f must be repeatable: the primary may go while it runs.
func (s *Service) onPrimary(ctx context.Context, in spi.Instance, database string, f func(context.Context, *pgx.Conn) error) error {
	if len(in.Nodes) == 0 {
		return fault.New(fault.Unavailable, "the instance has no server yet")
	}
	deadline := time.Now().Add(s.config.PrimaryTimeout)
	for {
		err := s.tryNodes(ctx, in, database, f)
		if err == nil || !again(err) || ctx.Err() != nil || time.Now().After(deadline) {
			return asFault(err)
		}
		select {
		case <-ctx.Done():
			return asFault(err)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// again tells whether a failure may be a failover's: nobody answers, who answers
// is no primary any more, or a standby that has not caught up.
func again(err error) bool {
	return hasCode(err, codeUndefinedDatabase) || fault.Is(asFault(err), fault.Unavailable)
}

// tryNodes runs f on the first node that takes writes, the last that did
// first.
func (s *Service) tryNodes(ctx context.Context, in spi.Instance, database string, f func(context.Context, *pgx.Conn) error) error {
	nodes := slices.Clone(in.Nodes)
	last, _ := s.primaries.Load(in.ID)
	slices.SortStableFunc(nodes, func(a, b spi.Node) int {
		switch {
		case a.Address == last && b.Address != last:
			return -1
		case b.Address == last && a.Address != last:
			return 1
		}
		return 0
	})
	var faults []error
	for _, node := range nodes {
		err := s.useNode(ctx, in, node, database, func(ctx context.Context, conn *pgx.Conn) error {
			if err := checkPrimary(ctx, conn); err != nil {
				return err
			}
			s.primaries.Store(in.ID, node.Address)
			return f(ctx, conn)
		})
		if err == nil {
			return nil
		}
		if !again(err) || ctx.Err() != nil {
			return err
		}
		faults = append(faults, fmt.Errorf("%s: %w", node.Name, err))
	}
	return errors.Join(faults...)
}

// checkPrimary closes a connection that does not say its role in time.
func checkPrimary(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, roleTimeout)
	defer cancel()
	var standby bool
	if err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil {
		return fmt.Errorf("ask the server for its role: %w", err)
	}
	if standby {
		return errStandby
	}
	return nil
}
