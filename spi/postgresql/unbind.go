package postgresql

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/spi"
)

// removedComment marks a role that opens nothing any more but could not be
// dropped yet. Later unbinds drop it.
const removedComment = "holdfast binding: removed"

// Unbind shuts the login, ends its sessions, gives what it owns to the owner
// role and drops it. A lock that an app holds cannot keep the login open: the
// role is then left behind, closed, and dropped later.
func (s *Service) Unbind(ctx context.Context, in spi.BindRequest) error {
	key, err := readInstanceKey(in.Instance.Secrets[secretKey])
	if err != nil {
		return err
	}
	role := key.roleName(in.BindingID)
	return s.onPrimary(ctx, in.Instance, database, func(ctx context.Context, conn *pgx.Conn) error {
		closed, err := s.shutLogin(ctx, conn, role)
		if err != nil || !closed {
			return err
		}
		if err := endSessions(ctx, conn, role); err != nil {
			return err
		}
		if err := s.endStandbySessions(ctx, in.Instance, conn, role); err != nil {
			return err
		}
		return s.dropRemoved(ctx, conn)
	})
}

// endStandbySessions ends the role's sessions on the standbys, once these know
// that the login is shut. A node that cannot be reached at all is passed over:
// sessions do not outlive its server, and it will follow the primary before it
// takes new ones.
func (s *Service) endStandbySessions(ctx context.Context, in spi.Instance, primary *pgx.Conn, role string) error {
	for _, node := range in.Nodes {
		if len(in.Nodes) == 1 || node.Address == primary.Config().Host {
			continue
		}
		reached := false
		err := s.onNode(ctx, in, node, adminDatabase, func(ctx context.Context, conn *pgx.Conn) error {
			reached = true
			if err := awaitRole(ctx, conn, role, false); err != nil {
				return err
			}
			return endSessions(ctx, conn, role)
		})
		if err != nil && (reached || ctx.Err() != nil) {
			return err
		}
		if err != nil {
			s.log.WarnContext(ctx, "a node is not reached to end sessions there", "node", node.Name, "error", err.Error())
		}
	}
	return nil
}

// awaitRole waits until a standby has replayed that the role can log in, or
// cannot any more.
func awaitRole(ctx context.Context, conn *pgx.Conn, role string, login bool) error {
	deadline := time.Now().Add(endLimit)
	for {
		var can bool
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1 AND rolcanlogin)", role).Scan(&can); err != nil {
			return fmt.Errorf("look what the standby knows of the binding: %w", err)
		}
		if can == login {
			return nil
		}
		if time.Now().After(deadline) {
			return fault.New(fault.Unavailable, "a standby lags behind; try again in a minute")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// shutLogin makes the role unusable; false when there is none.
func (s *Service) shutLogin(ctx context.Context, conn *pgx.Conn, role string) (bool, error) {
	err := s.execAll(ctx, conn, []string{
		"ALTER ROLE " + role + " NOLOGIN PASSWORD NULL CONNECTION LIMIT 0",
		"COMMENT ON ROLE " + role + " IS '" + removedComment + "'",
	})
	if hasCode(err, codeUndefinedObject) {
		return false, nil
	}
	return err == nil, err
}

// endLimit bounds the wait for a binding's sessions to end.
const endLimit = 10 * time.Second

func endSessions(ctx context.Context, conn *pgx.Conn, role string) error {
	deadline := time.Now().Add(endLimit)
	for {
		var left int
		// The server waits up to a second for each to end.
		err := conn.QueryRow(ctx, "SELECT count(*) FILTER (WHERE NOT pg_terminate_backend(pid, 1000)) FROM pg_stat_activity WHERE usename = $1", role).Scan(&left)
		if err != nil {
			return fmt.Errorf("end the binding's sessions: %w", err)
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fault.New(fault.Unavailable, "%d sessions of the binding do not end; try again in a minute", left)
		}
	}
}

// dropRemoved drops every role that is marked as removed, as far as nobody's
// lock is in the way.
func (s *Service) dropRemoved(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "SELECT rolname FROM pg_roles WHERE NOT rolcanlogin AND shobj_description(oid, 'pg_authid') = $1", removedComment)
	if err != nil {
		return fmt.Errorf("list removed bindings: %w", err)
	}
	roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list removed bindings: %w", err)
	}
	for _, role := range roles {
		quoted := pgx.Identifier{role}.Sanitize()
		err := s.execAll(ctx, conn, []string{
			"REASSIGN OWNED BY " + quoted + " TO " + ownerRole,
			"DROP OWNED BY " + quoted,
			"DROP ROLE " + quoted,
		})
		switch {
		case err == nil, hasCode(err, codeUndefinedObject): // another unbind was faster
		case fault.Is(asFault(err), fault.Unavailable) && !conn.IsClosed():
			s.log.WarnContext(ctx, "a removed binding's role is left closed until its objects' locks are free", "role", role, "error", err.Error())
		default:
			return fmt.Errorf("drop the removed role %s: %w", role, err)
		}
	}
	return nil
}
