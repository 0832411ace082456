package db

import (
	"context"
	"errors"
	"fmt"
)

// ErrandState is what SetErrandState stored for an errand of a deployment
// after its last successful run; "" when there was none.
func (d *DB) ErrandState(ctx context.Context, deployment, errand string) (string, error) {
	state, err := one(ctx, d, scanText, `SELECT state FROM errands WHERE deployment = ? AND name = ?`, deployment, errand)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", fmt.Errorf("read the state of errand %s of %s: %w", errand, deployment, err)
	}
	return state, nil
}

// SetErrandState stores what an errand was last run on, so that an unchanged
// one need not be run again. It goes with its deployment.
func (d *DB) SetErrandState(ctx context.Context, deployment, errand, state string) error {
	_, err := d.exec(ctx, `INSERT INTO errands (deployment, name, state) VALUES (?,?,?)
		ON CONFLICT (deployment, name) DO UPDATE SET state = excluded.state`, deployment, errand, state)
	if err != nil {
		return fmt.Errorf("store the state of errand %s of %s: %w", errand, deployment, err)
	}
	return nil
}
