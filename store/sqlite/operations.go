package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

const operationColumns = `id, instance_id, kind, state, version, plan_id, maintenance, submission, message, done, total, reference, usable, repeatable,
	state_since, trouble_since, lease_owner, lease_until, created_at, updated_at, ended_at, sealed`

const unfinished = `state NOT IN ('succeeded', 'failed')`

func (s *Store) insertOperation(ctx context.Context, tx *sql.Tx, op store.Operation) error {
	sealed, err := s.keys.SealOperation(op.ID, op.Private)
	if err != nil {
		return err
	}
	now := micros(s.now())
	_, err = tx.ExecContext(ctx, `INSERT INTO operations (`+operationColumns+`, seq)
		VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, ?, ?, 0, ?, (SELECT COALESCE(MAX(seq), 0) + 1 FROM operations))`,
		op.ID, op.InstanceID, op.Kind, op.State, op.PlanID, op.Maintenance, op.Submission, op.Message, op.Done, op.Total, op.Reference, op.Usable, op.Repeatable,
		now, micros(op.TroubleSince), now, now, sealed)
	return err
}

// StartOperation implements store.Operations.
func (s *Store) StartOperation(ctx context.Context, op store.Operation, read store.Instance) (string, error) {
	var superseded string
	err := s.tx(ctx, func(tx *sql.Tx) error {
		var state store.InstanceState
		var version int64
		err := tx.QueryRowContext(ctx, `SELECT state, version FROM instances WHERE id = ?`, op.InstanceID).Scan(&state, &version)
		if errors.Is(err, sql.ErrNoRows) || (err == nil && state == store.Gone) {
			return fault.New(fault.NotFound, "the instance does not exist")
		}
		if err != nil {
			return err
		}
		// A delete may come at any time: the worker of what it supersedes may
		// have changed the row a moment ago.
		if op.Kind != store.Delete && version != read.Version {
			return conflict(store.ErrStale, "the instance changed meanwhile")
		}
		if op.Kind == store.Delete {
			if superseded, err = s.supersede(ctx, tx, op.InstanceID, state); err != nil {
				return err
			}
		}
		err = s.insertOperation(ctx, tx, op)
		if violates(err) {
			return conflict(errors.Join(store.ErrBusy, err), "another operation of this instance is in progress")
		}
		return err
	})
	return superseded, explain("start operation "+op.ID, err)
}

// supersede ends what a delete takes the place of.
func (s *Store) supersede(ctx context.Context, tx *sql.Tx, instanceID string, state store.InstanceState) (string, error) {
	var id string
	now := micros(s.now())
	err := tx.QueryRowContext(ctx, `UPDATE operations SET state = ?, version = version + 1, message = 'cancelled: the instance is being deleted',
		usable = 0, repeatable = 0, updated_at = ?, ended_at = ?
		WHERE instance_id = ? AND kind <> ? AND `+unfinished+` RETURNING id`, store.Failed, now, now, instanceID, store.Delete).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil || state != store.Creating {
		return id, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE instances SET state = ?, version = version + 1, updated_at = ? WHERE id = ?`, store.Broken, now, instanceID)
	return id, err
}

// Operation implements store.Operations.
func (s *Store) Operation(ctx context.Context, id string) (store.Operation, error) {
	op, err := s.scanOperation(s.read.QueryRowContext(ctx, `SELECT `+operationColumns+` FROM operations WHERE id = ?`, id))
	return op, explain("read operation "+id, err)
}

// LatestOperation implements store.Operations.
func (s *Store) LatestOperation(ctx context.Context, instanceID string) (store.Operation, error) {
	op, err := s.scanOperation(s.read.QueryRowContext(ctx, `SELECT `+operationColumns+` FROM operations WHERE instance_id = ? ORDER BY seq DESC LIMIT 1`, instanceID))
	return op, explain("read the latest operation of instance "+instanceID, err)
}

func (s *Store) scanOperation(row *sql.Row) (store.Operation, error) {
	op, sealed, err := scanSealedOperation(row)
	if err != nil {
		return op, err
	}
	return s.openOperation(op, sealed)
}

func (s *Store) openOperation(op store.Operation, sealed []byte) (store.Operation, error) {
	if sealed == nil {
		return op, nil
	}
	var err error
	op.Private, err = s.keys.OpenOperation(op.ID, sealed)
	return op, err
}

func scanSealedOperation(row *sql.Row) (op store.Operation, sealed []byte, err error) {
	var since, trouble, lease, created, updated, ended int64
	err = row.Scan(&op.ID, &op.InstanceID, &op.Kind, &op.State, &op.Version, &op.PlanID, &op.Maintenance, &op.Submission, &op.Message, &op.Done, &op.Total,
		&op.Reference, &op.Usable, &op.Repeatable, &since, &trouble, &op.LeaseOwner, &lease, &created, &updated, &ended, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return op, nil, fault.New(fault.NotFound, "the operation does not exist")
	}
	if err != nil {
		return op, nil, err
	}
	op.StateSince, op.TroubleSince, op.LeaseUntil = fromMicros(since), fromMicros(trouble), fromMicros(lease)
	op.CreatedAt, op.UpdatedAt, op.EndedAt = fromMicros(created), fromMicros(updated), fromMicros(ended)
	return op, sealed, nil
}

// SaveOperation implements store.Operations.
func (s *Store) SaveOperation(ctx context.Context, op *store.Operation, in *store.Instance) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if in != nil {
			if err := s.updateInstance(ctx, tx, in); err != nil {
				return err
			}
		}
		return s.updateOperation(ctx, tx, *op)
	})
	if err != nil {
		return explain("save operation "+op.ID, err)
	}
	op.Version++
	if in != nil {
		in.Version++
	}
	return nil
}

func (s *Store) updateOperation(ctx context.Context, tx *sql.Tx, op store.Operation) error {
	sealed, err := s.keys.SealOperation(op.ID, op.Private)
	if err != nil {
		return err
	}
	now := s.now()
	var ended int64
	if op.State.Ended() {
		ended = micros(now)
		sealed = nil // nothing needs an ended operation's secrets
	}
	return one(tx.ExecContext(ctx, `UPDATE operations SET state = ?, version = version + 1, submission = ?, message = ?, done = ?, total = ?, reference = ?,
		usable = ?, repeatable = ?, state_since = ?, trouble_since = ?, updated_at = ?, ended_at = ?, sealed = ?,
		lease_owner = CASE WHEN ? THEN '' ELSE lease_owner END, lease_until = CASE WHEN ? THEN 0 ELSE lease_until END
		WHERE id = ? AND version = ? AND lease_owner = ? AND `+unfinished,
		op.State, op.Submission, op.Message, op.Done, op.Total, op.Reference, op.Usable, op.Repeatable, micros(op.StateSince), micros(op.TroubleSince),
		micros(now), ended, sealed, op.State.Ended(), op.State.Ended(), op.ID, op.Version, op.LeaseOwner))
}

// CountOperations implements store.Operations.
func (s *Store) CountOperations(ctx context.Context) (map[store.Kind]map[store.State]int, error) {
	counts, err := s.countOperations(ctx)
	return counts, explain("count operations", err)
}

func (s *Store) countOperations(ctx context.Context) (map[store.Kind]map[store.State]int, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT kind, state, COUNT(*) FROM operations GROUP BY kind, state`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := map[store.Kind]map[store.State]int{}
	for rows.Next() {
		var kind store.Kind
		var state store.State
		var n int
		if err := rows.Scan(&kind, &state, &n); err != nil {
			return nil, err
		}
		if counts[kind] == nil {
			counts[kind] = map[store.State]int{}
		}
		counts[kind][state] = n
	}
	return counts, rows.Err()
}
