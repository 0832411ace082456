package postgresql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/spi"
)

// What an instance holds. Names of tenants' making are never used.
const (
	database   = "app"
	ownerRole  = "app_owner"  // owns the database; cannot log in
	readerRole = "app_reader" // may read what the owner makes; cannot log in
)

// Connections that tenants cannot take, so that unbinding always finds one.
const reservedConnections = 10

// Configure checks that a server answers and takes writes, and makes the
// database with its roles. Each statement may be repeated.
func (s *Service) Configure(ctx context.Context, in spi.Instance) error {
	err := s.onPrimary(ctx, in, adminDatabase, func(ctx context.Context, conn *pgx.Conn) error {
		for _, role := range []string{ownerRole, readerRole} {
			if err := s.ensureRole(ctx, conn, role); err != nil {
				return err
			}
		}
		return s.ensureDatabase(ctx, conn)
	})
	if err != nil {
		return err
	}
	return s.onPrimary(ctx, in, database, func(ctx context.Context, conn *pgx.Conn) error {
		return s.execAll(ctx, conn, readerPrivileges(ownerRole))
	})
}

func (s *Service) ensureRole(ctx context.Context, conn *pgx.Conn, role string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := conn.Exec(ctx, "CREATE ROLE "+role+" NOLOGIN")
	if err != nil && !hasCode(err, codeDuplicateObject, codeUniqueViolation) {
		return fmt.Errorf("create role %s: %w", role, err)
	}
	if _, err := conn.Exec(ctx, "GRANT "+role+" TO CURRENT_USER"); err != nil {
		return fmt.Errorf("join role %s: %w", role, err)
	}
	return nil
}

func (s *Service) ensureDatabase(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := conn.Exec(ctx, "CREATE DATABASE "+database+" OWNER "+ownerRole)
	if err != nil && !hasCode(err, codeDuplicateDatabase, codeUniqueViolation) {
		return fmt.Errorf("create database: %w", err)
	}
	var limit int
	err = conn.QueryRow(ctx, "SELECT greatest(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - $1, 1)", reservedConnections).Scan(&limit)
	if err != nil {
		return fmt.Errorf("read max_connections: %w", err)
	}
	return s.execAll(ctx, conn, []string{
		fmt.Sprintf("ALTER DATABASE %s CONNECTION LIMIT %d", database, limit),
		fmt.Sprintf("REVOKE ALL ON DATABASE %s FROM PUBLIC", database),
		fmt.Sprintf("GRANT CONNECT, TEMPORARY ON DATABASE %s TO %s, %s", database, ownerRole, readerRole),
	})
}

// readerPrivileges let read-only bindings read what a role will make.
func readerPrivileges(creator string) []string {
	prefix := "ALTER DEFAULT PRIVILEGES FOR ROLE " + creator + " GRANT "
	return []string{
		prefix + "SELECT ON TABLES TO " + readerRole,
		prefix + "SELECT ON SEQUENCES TO " + readerRole,
		prefix + "USAGE ON SCHEMAS TO " + readerRole,
	}
}

// bounded ends what changes a server in time. The server's own time-out does not
// cover a commit that waits for a standby.
func (s *Service) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.config.StatementTimeout)
}

// execAll runs statements in one transaction and one round trip: the simple
// query protocol makes the several statements of a message one transaction.
func (s *Service) execAll(ctx context.Context, conn *pgx.Conn, statements []string) error {
	var script string
	for _, statement := range statements {
		script += statement + ";\n"
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	// The statements are not in the error: they may hold verifiers.
	if _, err := conn.PgConn().Exec(ctx, script).ReadAll(); err != nil {
		return fmt.Errorf("run administrative commands: %w", err)
	}
	return nil
}
