package db

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// migrations are applied in the order of their names, each once; the file
// remembers in its user_version how many it has. Append, never change.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrate applies what the file is missing, each migration and its number in
// one transaction.
func migrate(ctx context.Context, w *sql.DB) error {
	var version int
	if err := w.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	steps, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return fmt.Errorf("list the migrations: %w", err)
	}
	if version > len(steps) {
		return fmt.Errorf("the database has schema version %d, this director knows %d: it was written by a newer one", version, len(steps))
	}
	for n := version; n < len(steps); n++ {
		if err := step(ctx, w, steps[n], n+1); err != nil {
			return fmt.Errorf("migrate to schema version %d: %w", n+1, err)
		}
	}
	return nil
}

func step(ctx context.Context, w *sql.DB, name string, version int) error {
	text, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	tx, err := w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, string(text)+fmt.Sprintf("PRAGMA user_version = %d;", version)); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
