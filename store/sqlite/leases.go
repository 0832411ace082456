package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

// claimable finds the oldest operation that nobody works on: neither it nor
// another operation of its instance is leased.
const claimable = `SELECT id FROM operations o WHERE ` + unfinished + ` AND (lease_owner = '' OR lease_until <= ?)
	AND NOT EXISTS (SELECT 1 FROM operations other WHERE other.instance_id = o.instance_id AND other.id <> o.id
		AND other.lease_owner <> '' AND other.lease_until > ?)
	ORDER BY seq LIMIT 1`

// Claim implements store.Operations.
func (s *Store) Claim(ctx context.Context, owner string, lease time.Duration) (store.Operation, error) {
	op, err := s.claim(ctx, owner, lease)
	return op, explain("claim an operation", err)
}

func (s *Store) claim(ctx context.Context, owner string, lease time.Duration) (store.Operation, error) {
	// Looking first keeps an idle broker from writing to the disk.
	now := micros(s.now())
	var id string
	err := s.read.QueryRowContext(ctx, claimable, now, now).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Operation{}, fault.New(fault.NotFound, "there is nothing to do")
	}
	if err != nil {
		return store.Operation{}, err
	}
	var op store.Operation
	var sealed []byte
	err = s.tx(ctx, func(tx *sql.Tx) error {
		now := s.now()
		var err error
		op, sealed, err = scanSealedOperation(tx.QueryRowContext(ctx, `UPDATE operations SET lease_owner = ?, lease_until = ? WHERE id = (`+claimable+`) RETURNING `+operationColumns,
			owner, micros(now.Add(lease)), micros(now), micros(now)))
		return err
	})
	if err != nil {
		return op, err
	}
	return s.openOperation(op, sealed)
}

// Extend implements store.Operations.
func (s *Store) Extend(ctx context.Context, owner string, ids []string, lease time.Duration) (held, superseded []string, err error) {
	wanted, err := json.Marshal(ids)
	if err != nil {
		return nil, nil, fmt.Errorf("encode ids: %w", err)
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `UPDATE operations SET lease_until = ? WHERE lease_owner = ? AND id IN (SELECT value FROM json_each(?)) RETURNING id, state`,
			micros(s.now().Add(lease)), owner, string(wanted))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var state store.State
			if err := rows.Scan(&id, &state); err != nil {
				return err
			}
			if state.Ended() {
				superseded = append(superseded, id)
			} else {
				held = append(held, id)
			}
		}
		return rows.Err()
	})
	return held, superseded, explain("extend leases", err)
}

// Release implements store.Operations.
func (s *Store) Release(ctx context.Context, id, owner string) error {
	return explain("release operation "+id, s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE operations SET lease_owner = '', lease_until = 0 WHERE id = ? AND lease_owner = ?`, id, owner)
		return err
	}))
}

// Purge implements store.Store.
func (s *Store) Purge(ctx context.Context, before time.Time) (instances, operations int, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		limit := micros(before)
		var err error
		if operations, err = affected(tx.ExecContext(ctx, `DELETE FROM operations WHERE state IN ('succeeded', 'failed') AND updated_at < ?
			AND seq < (SELECT MAX(seq) FROM operations latest WHERE latest.instance_id = operations.instance_id)`, limit)); err != nil {
			return err
		}
		// Their last operations go with them.
		instances, err = affected(tx.ExecContext(ctx, `DELETE FROM instances WHERE state = ? AND updated_at < ?`, store.Gone, limit))
		return err
	})
	return instances, operations, explain("purge", err)
}

func affected(res sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}
