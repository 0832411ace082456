package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

const instanceColumns = `id, version, state, provider, service_id, plan_id, deployment, org_guid, space_guid, maintenance, nodes, created_at, updated_at, sealed`

// CreateInstance implements store.Instances.
func (s *Store) CreateInstance(ctx context.Context, in store.Instance, op store.Operation) error {
	return explain("create instance "+in.ID, s.tx(ctx, func(tx *sql.Tx) error {
		// A tombstone makes room, with its operations and bindings.
		if _, err := tx.ExecContext(ctx, `DELETE FROM instances WHERE id = ? AND state = ?`, in.ID, store.Gone); err != nil {
			return err
		}
		in.Version = 1
		in.CreatedAt = s.now()
		err := s.insertInstance(ctx, tx, in)
		if violates(err) {
			return conflict(errors.Join(store.ErrExists, err), "the instance exists already")
		}
		if err != nil {
			return err
		}
		return s.insertOperation(ctx, tx, op)
	}))
}

func (s *Store) insertInstance(ctx context.Context, tx *sql.Tx, in store.Instance) error {
	nodes, sealed, err := s.encodeInstance(in)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO instances (`+instanceColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		in.ID, in.Version, in.State, in.Provider, in.ServiceID, in.PlanID, in.Deployment, in.OrgGUID, in.SpaceGUID, in.Maintenance,
		nodes, micros(in.CreatedAt), micros(s.now()), sealed)
	return err
}

func (s *Store) encodeInstance(in store.Instance) (nodes string, sealed []byte, err error) {
	encoded, err := json.Marshal(in.Nodes)
	if err != nil {
		return "", nil, fmt.Errorf("encode nodes: %w", err)
	}
	if in.State == store.Gone {
		return string(encoded), nil, nil
	}
	sealed, err = s.keys.SealInstance(in.ID, in.Private)
	return string(encoded), sealed, err
}

// updateInstance writes in over the version that it was read with.
func (s *Store) updateInstance(ctx context.Context, tx *sql.Tx, in *store.Instance) error {
	nodes, sealed, err := s.encodeInstance(*in)
	if err != nil {
		return err
	}
	res, err := tx.ExecContext(ctx, `UPDATE instances SET version = version + 1, state = ?, plan_id = ?, maintenance = ?, nodes = ?, updated_at = ?, sealed = ?
		WHERE id = ? AND version = ?`, in.State, in.PlanID, in.Maintenance, nodes, micros(s.now()), sealed, in.ID, in.Version)
	if err := one(res, err); err != nil {
		return err
	}
	if in.State == store.Gone {
		_, err = tx.ExecContext(ctx, `DELETE FROM bindings WHERE instance_id = ?`, in.ID)
	}
	return err
}

// one turns an update that found no row into ErrStale.
func one(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return conflict(store.ErrStale, "the row changed meanwhile")
	}
	return nil
}

// Instance implements store.Instances.
func (s *Store) Instance(ctx context.Context, id string) (store.Instance, error) {
	in, err := s.instance(ctx, s.read, id)
	return in, explain("read instance "+id, err)
}

// querier is a pool or a transaction.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (s *Store) instance(ctx context.Context, q querier, id string) (store.Instance, error) {
	var in store.Instance
	var nodes string
	var created, updated int64
	var sealed []byte
	err := q.QueryRowContext(ctx, `SELECT `+instanceColumns+` FROM instances WHERE id = ?`, id).Scan(
		&in.ID, &in.Version, &in.State, &in.Provider, &in.ServiceID, &in.PlanID, &in.Deployment, &in.OrgGUID, &in.SpaceGUID, &in.Maintenance,
		&nodes, &created, &updated, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return in, fault.New(fault.NotFound, "the instance does not exist")
	}
	if err != nil {
		return in, err
	}
	in.CreatedAt, in.UpdatedAt = fromMicros(created), fromMicros(updated)
	if err := json.Unmarshal([]byte(nodes), &in.Nodes); err != nil {
		return in, fmt.Errorf("decode nodes: %w", err)
	}
	if sealed != nil {
		in.Private, err = s.keys.OpenInstance(in.ID, sealed)
	}
	return in, err
}

// SaveNodes implements store.Instances.
func (s *Store) SaveNodes(ctx context.Context, in store.Instance) error {
	nodes, err := json.Marshal(in.Nodes)
	if err != nil {
		return fmt.Errorf("encode nodes: %w", err)
	}
	return explain("save nodes of instance "+in.ID, s.tx(ctx, func(tx *sql.Tx) error {
		return one(tx.ExecContext(ctx, `UPDATE instances SET version = version + 1, nodes = ?, updated_at = ? WHERE id = ? AND version = ?`,
			string(nodes), micros(s.now()), in.ID, in.Version))
	}))
}

// Deployments implements store.Instances.
func (s *Store) Deployments(ctx context.Context) (map[string]string, error) {
	names, err := s.deployments(ctx)
	return names, explain("list deployments", err)
}

func (s *Store) deployments(ctx context.Context) (map[string]string, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT deployment, id FROM instances WHERE state <> ?`, store.Gone)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names := map[string]string{}
	for rows.Next() {
		var name, id string
		if err := rows.Scan(&name, &id); err != nil {
			return nil, err
		}
		names[name] = id
	}
	return names, rows.Err()
}
