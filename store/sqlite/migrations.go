package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations bring the schema from version i to i+1; PRAGMA user_version holds
// how many were applied. Never change one that was released: append.
var migrations = []string{`
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value BLOB NOT NULL
) STRICT;

CREATE TABLE instances (
	id          TEXT PRIMARY KEY,
	version     INTEGER NOT NULL,
	state       TEXT NOT NULL CHECK (state IN ('creating', 'ready', 'broken', 'gone')),
	provider    TEXT NOT NULL,
	service_id  TEXT NOT NULL,
	plan_id     TEXT NOT NULL,
	deployment  TEXT NOT NULL,
	org_guid    TEXT NOT NULL,
	space_guid  TEXT NOT NULL,
	maintenance TEXT NOT NULL,
	nodes       TEXT NOT NULL,
	created_at  INTEGER NOT NULL,
	updated_at  INTEGER NOT NULL,
	sealed      BLOB
) STRICT;
CREATE UNIQUE INDEX one_instance_per_deployment ON instances (deployment) WHERE state <> 'gone';

CREATE TABLE operations (
	id            TEXT PRIMARY KEY,
	seq           INTEGER NOT NULL UNIQUE,
	instance_id   TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	kind          TEXT NOT NULL CHECK (kind IN ('create', 'update', 'delete')),
	state         TEXT NOT NULL CHECK (state IN ('queued', 'preparing', 'deploying', 'configuring', 'restoring',
	                                             'unbinding', 'deleting', 'cleaning', 'succeeded', 'failed')),
	version       INTEGER NOT NULL,
	plan_id       TEXT NOT NULL,
	maintenance   TEXT NOT NULL,
	submission    INTEGER NOT NULL,
	message       TEXT NOT NULL,
	done          INTEGER NOT NULL,
	total         INTEGER NOT NULL,
	reference     TEXT NOT NULL,
	usable        INTEGER NOT NULL,
	repeatable    INTEGER NOT NULL,
	state_since   INTEGER NOT NULL,
	trouble_since INTEGER NOT NULL,
	lease_owner   TEXT NOT NULL,
	lease_until   INTEGER NOT NULL,
	created_at    INTEGER NOT NULL,
	updated_at    INTEGER NOT NULL,
	ended_at      INTEGER NOT NULL,
	sealed        BLOB
) STRICT;
CREATE UNIQUE INDEX one_unfinished_operation ON operations (instance_id) WHERE state NOT IN ('succeeded', 'failed');
CREATE INDEX operations_of_instance ON operations (instance_id, seq);
CREATE INDEX unfinished_operations ON operations (seq) WHERE state NOT IN ('succeeded', 'failed');
CREATE INDEX leased_operations ON operations (lease_owner) WHERE lease_owner <> '';

CREATE TABLE bindings (
	instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
	id          TEXT NOT NULL,
	version     INTEGER NOT NULL,
	state       TEXT NOT NULL CHECK (state IN ('creating', 'ready', 'deleting')),
	service_id  TEXT NOT NULL,
	plan_id     TEXT NOT NULL,
	app_guid    TEXT NOT NULL,
	created_at  INTEGER NOT NULL,
	updated_at  INTEGER NOT NULL,
	sealed      BLOB NOT NULL,
	PRIMARY KEY (instance_id, id)
) STRICT;
`}

func migrate(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin migration: %w", err)
	}
	defer tx.Rollback() // no effect after Commit
	var version int
	if err := tx.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if version > len(migrations) {
		return fmt.Errorf("the file has schema version %d, this program knows versions up to %d: use the newer program", version, len(migrations))
	}
	if version == len(migrations) {
		return nil
	}
	for ; version < len(migrations); version++ {
		if _, err := tx.ExecContext(ctx, migrations[version]); err != nil {
			return fmt.Errorf("migrate schema from version %d: %w", version, err)
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, version)); err != nil {
		return fmt.Errorf("write schema version: %w", err)
	}
	return tx.Commit()
}
