package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

const bindingColumns = `instance_id, id, version, state, service_id, plan_id, app_guid, created_at, updated_at, sealed`

// CreateBinding implements store.Bindings.
func (s *Store) CreateBinding(ctx context.Context, b store.Binding) error {
	sealed, err := s.keys.SealBinding(b.InstanceID, b.ID, b.Private)
	if err != nil {
		return err
	}
	return explain("create binding "+b.ID, s.tx(ctx, func(tx *sql.Tx) error {
		var state store.InstanceState
		var busy bool
		err := tx.QueryRowContext(ctx, `SELECT state, EXISTS (SELECT 1 FROM operations WHERE instance_id = instances.id AND `+unfinished+`)
			FROM instances WHERE id = ?`, b.InstanceID).Scan(&state, &busy)
		if errors.Is(err, sql.ErrNoRows) || (err == nil && state == store.Gone) {
			return fault.New(fault.NotFound, "the instance does not exist")
		}
		if err != nil {
			return err
		}
		if busy || state != store.Ready {
			return conflict(store.ErrBusy, "the instance is not ready for bindings")
		}
		now := micros(s.now())
		_, err = tx.ExecContext(ctx, `INSERT INTO bindings (`+bindingColumns+`) VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?)`,
			b.InstanceID, b.ID, b.State, b.ServiceID, b.PlanID, b.AppGUID, now, now, sealed)
		if violates(err) {
			return conflict(errors.Join(store.ErrExists, err), "the binding exists already")
		}
		return err
	}))
}

type scanner interface{ Scan(into ...any) error }

func (s *Store) scanBinding(row scanner) (store.Binding, error) {
	var b store.Binding
	var created, updated int64
	var sealed []byte
	err := row.Scan(&b.InstanceID, &b.ID, &b.Version, &b.State, &b.ServiceID, &b.PlanID, &b.AppGUID, &created, &updated, &sealed)
	if err != nil {
		return b, err
	}
	b.CreatedAt, b.UpdatedAt = fromMicros(created), fromMicros(updated)
	b.Private, err = s.keys.OpenBinding(b.InstanceID, b.ID, sealed)
	return b, err
}

// Binding implements store.Bindings.
func (s *Store) Binding(ctx context.Context, instanceID, id string) (store.Binding, error) {
	b, err := s.scanBinding(s.read.QueryRowContext(ctx, `SELECT `+bindingColumns+` FROM bindings WHERE instance_id = ? AND id = ?`, instanceID, id))
	if errors.Is(err, sql.ErrNoRows) {
		return b, fault.New(fault.NotFound, "the binding does not exist")
	}
	return b, explain("read binding "+id, err)
}

// ListBindings implements store.Bindings.
func (s *Store) ListBindings(ctx context.Context, instanceID string) ([]store.Binding, error) {
	list, err := s.listBindings(ctx, instanceID)
	return list, explain("list bindings of instance "+instanceID, err)
}

func (s *Store) listBindings(ctx context.Context, instanceID string) ([]store.Binding, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+bindingColumns+` FROM bindings WHERE instance_id = ? ORDER BY id`, instanceID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []store.Binding
	for rows.Next() {
		b, err := s.scanBinding(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, rows.Err()
}

// SaveBinding implements store.Bindings.
func (s *Store) SaveBinding(ctx context.Context, b *store.Binding) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		return one(tx.ExecContext(ctx, `UPDATE bindings SET state = ?, version = version + 1, updated_at = ? WHERE instance_id = ? AND id = ? AND version = ?`,
			b.State, micros(s.now()), b.InstanceID, b.ID, b.Version))
	})
	if err != nil {
		return explain("save binding "+b.ID, err)
	}
	b.Version++
	return nil
}

// DeleteBinding implements store.Bindings.
func (s *Store) DeleteBinding(ctx context.Context, instanceID, id string) error {
	return explain("delete binding "+id, s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM bindings WHERE instance_id = ? AND id = ?`, instanceID, id)
		return err
	}))
}
