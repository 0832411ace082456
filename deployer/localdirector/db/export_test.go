package db

import (
	"context"
	"fmt"
)

// SetSchemaVersion pretends that another version wrote the file.
func SetSchemaVersion(ctx context.Context, d *DB, version int) error {
	_, err := d.exec(ctx, fmt.Sprintf("PRAGMA user_version = %d", version))
	return err
}
