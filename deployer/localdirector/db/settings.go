package db

import (
	"context"
	"errors"
	"fmt"
)

// The names of the director-wide settings.
const (
	SettingUUID               = "uuid"
	SettingResurrectionPaused = "resurrection_paused" // "true" while it is
)

// Setting reads a director-wide setting; empty when it was never set.
func (d *DB) Setting(ctx context.Context, name string) (string, error) {
	v, err := one(ctx, d, scanText, `SELECT value FROM settings WHERE name = ?`, name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", fmt.Errorf("read setting %s: %w", name, err)
	}
	return v, nil
}

// SetSetting stores a director-wide setting.
func (d *DB) SetSetting(ctx context.Context, name, value string) error {
	_, err := d.exec(ctx, `INSERT INTO settings (name, value) VALUES (?,?)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	if err != nil {
		return fmt.Errorf("store setting %s: %w", name, err)
	}
	return nil
}

func scanText(s scanner) (string, error) {
	var v string
	err := s.Scan(&v)
	return v, err
}
