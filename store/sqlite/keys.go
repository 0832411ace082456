package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/holdfast-osb/holdfast/store"
)

// checkKeys refuses keys that cannot open everything the store holds: finding
// that out at an instance's next request would be too late.
func (s *Store) checkKeys(ctx context.Context) error {
	if err := s.checkCanary(ctx); err != nil {
		return err
	}
	for _, table := range []string{"instances", "operations", "bindings"} {
		if err := s.checkTable(ctx, table); err != nil {
			return err
		}
	}
	return nil
}

// checkCanary opens a known value, which tells a key from another one of the
// same id, and seals it again with the key that is active now.
func (s *Store) checkCanary(ctx context.Context) error {
	const row = "meta/canary"
	return s.tx(ctx, func(tx *sql.Tx) error {
		var sealed []byte
		err := tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'canary'`).Scan(&sealed)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err == nil {
			if _, err := s.keys.Open(row, sealed); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `INSERT OR REPLACE INTO meta (name, value) VALUES ('canary', ?)`, s.keys.Seal(row, []byte("canary")))
		return err
	})
}

// checkTable looks at the key ids in front of the sealed values.
func (s *Store) checkTable(ctx context.Context, table string) error {
	rows, err := s.read.QueryContext(ctx, `SELECT substr(sealed, 1, 34) FROM `+table+` WHERE sealed IS NOT NULL`)
	if err != nil {
		return fmt.Errorf("read %s: %w", table, err)
	}
	defer rows.Close()
	missing := map[string]int{}
	for rows.Next() {
		var head []byte
		if err := rows.Scan(&head); err != nil {
			return fmt.Errorf("read %s: %w", table, err)
		}
		id, _, err := store.SealedWith(head)
		if err != nil {
			return fmt.Errorf("read %s: %w", table, err)
		}
		if !s.keys.Has(id) {
			missing[id]++
		}
	}
	for id, n := range missing {
		return fmt.Errorf("%d %s are sealed with key %q, which is not configured", n, table, id)
	}
	return rows.Err()
}
