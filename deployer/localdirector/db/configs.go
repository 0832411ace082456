package db

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Config is one version of a cloud, runtime, cpi or other config. The newest
// version of a type and name is the current one; older ones are kept.
type Config struct {
	ID        int64
	Type      string
	Name      string
	Content   string
	CreatedAt time.Time
	Current   bool
}

// ConfigFilter selects configs; empty fields select all.
type ConfigFilter struct {
	Type   string
	Name   string
	Latest bool // only the current version of each
	Limit  int  // versions per type and name; 0: no limit
}

// AddConfig stores a new version, which becomes the current one, and returns
// it with its ID.
func (d *DB) AddConfig(ctx context.Context, c Config) (Config, error) {
	res, err := d.exec(ctx, `INSERT INTO configs (type, name, content, created_at) VALUES (?,?,?,?)`,
		c.Type, c.Name, c.Content, unix(c.CreatedAt))
	if err != nil {
		return Config{}, fmt.Errorf("store config %s/%s: %w", c.Type, c.Name, err)
	}
	if c.ID, err = res.LastInsertId(); err != nil {
		return Config{}, fmt.Errorf("store config %s/%s: %w", c.Type, c.Name, err)
	}
	c.Current = true
	return c, nil
}

// Config finds one version, also a deleted one's predecessor. Faults:
// ErrNotFound.
func (d *DB) Config(ctx context.Context, id int64) (Config, error) {
	c, err := one(ctx, d, scanConfig, `SELECT `+configColumns+` FROM configs c WHERE NOT deleted AND id = ?`, id)
	if err != nil {
		return Config{}, fmt.Errorf("find config %d: %w", id, err)
	}
	return c, nil
}

// Configs lists the versions f selects by type and name, the newest of each
// first.
func (d *DB) Configs(ctx context.Context, f ConfigFilter) ([]Config, error) {
	var where conditions
	where.add("NOT deleted")
	if f.Type != "" {
		where.add("type = ?", f.Type)
	}
	if f.Name != "" {
		where.add("name = ?", f.Name)
	}
	if f.Latest {
		f.Limit = 1
	}
	if f.Limit > 0 {
		where.add(`(SELECT count(*) FROM configs n WHERE n.type = c.type AND n.name = c.name AND NOT n.deleted
			AND n.id > c.id) < ?`, f.Limit)
	}
	list, err := all(ctx, d, scanConfig, `SELECT `+configColumns+` FROM configs c `+where.clause()+
		` ORDER BY type, name != 'default', name, id DESC`, where.args...)
	if err != nil {
		return nil, fmt.Errorf("list configs: %w", err)
	}
	return list, nil
}

// DeleteConfigs deletes all versions of a type and name, and says how many
// there were. Their numbers are not used again.
func (d *DB) DeleteConfigs(ctx context.Context, typ, name string) (int64, error) {
	res, err := d.exec(ctx, `UPDATE configs SET deleted = 1 WHERE type = ? AND name = ? AND NOT deleted`, typ, name)
	if err != nil {
		return 0, fmt.Errorf("delete config %s/%s: %w", typ, name, err)
	}
	return res.RowsAffected()
}

// DeleteConfig deletes one version. Faults: ErrNotFound.
func (d *DB) DeleteConfig(ctx context.Context, id int64) error {
	if err := d.execOne(ctx, `UPDATE configs SET deleted = 1 WHERE id = ? AND NOT deleted`, id); err != nil {
		return fmt.Errorf("delete config %d: %w", id, err)
	}
	return nil
}

const configColumns = `id, type, name, content, created_at, NOT EXISTS (SELECT 1 FROM configs n
	WHERE n.type = c.type AND n.name = c.name AND NOT n.deleted AND n.id > c.id)`

func scanConfig(s scanner) (Config, error) {
	var c Config
	var at sql.NullInt64
	err := s.Scan(&c.ID, &c.Type, &c.Name, &c.Content, &at, &c.Current)
	c.CreatedAt = fromUnix(at)
	return c, err
}
