package db

import (
	"context"
	"encoding/json"
	"fmt"
)

// Stemcell is an uploaded stemcell.
type Stemcell struct {
	ID              int64
	Name            string
	OS              string
	Version         string
	CID             string // the host's name of the unpacked image
	APIVersion      int
	Digest          string
	CloudProperties json.RawMessage
}

// PutStemcell stores a stemcell, overwriting an earlier upload of the same
// name and version.
func (d *DB) PutStemcell(ctx context.Context, s Stemcell) error {
	cols, err := jsonValues(s.CloudProperties)
	if err != nil {
		return err
	}
	_, err = d.exec(ctx, `INSERT INTO stemcells (name, os, version, cid, api_version, digest, cloud_properties)
		VALUES (?,?,?,?,?,?,?)
		ON CONFLICT (name, version) DO UPDATE SET os = excluded.os, cid = excluded.cid,
			api_version = excluded.api_version, digest = excluded.digest, cloud_properties = excluded.cloud_properties`,
		s.Name, s.OS, s.Version, s.CID, s.APIVersion, s.Digest, cols[0])
	if err != nil {
		return fmt.Errorf("store stemcell %s/%s: %w", s.Name, s.Version, err)
	}
	return nil
}

// Stemcell finds a stemcell. Faults: ErrNotFound.
func (d *DB) Stemcell(ctx context.Context, name, version string) (Stemcell, error) {
	s, err := one(ctx, d, scanStemcell, `SELECT `+stemcellColumns+` FROM stemcells WHERE name = ? AND version = ?`, name, version)
	if err != nil {
		return Stemcell{}, fmt.Errorf("find stemcell %s/%s: %w", name, version, err)
	}
	return s, nil
}

// Stemcells lists all stemcells by name, in the order of their upload.
func (d *DB) Stemcells(ctx context.Context) ([]Stemcell, error) {
	list, err := all(ctx, d, scanStemcell, `SELECT `+stemcellColumns+` FROM stemcells ORDER BY name, id`)
	if err != nil {
		return nil, fmt.Errorf("list stemcells: %w", err)
	}
	return list, nil
}

// DeleteStemcell forgets a stemcell; none is no fault.
func (d *DB) DeleteStemcell(ctx context.Context, name, version string) error {
	if _, err := d.exec(ctx, `DELETE FROM stemcells WHERE name = ? AND version = ?`, name, version); err != nil {
		return fmt.Errorf("delete stemcell %s/%s: %w", name, version, err)
	}
	return nil
}

const stemcellColumns = `id, name, os, version, cid, api_version, digest, cloud_properties`

func scanStemcell(s scanner) (Stemcell, error) {
	var c Stemcell
	err := s.Scan(&c.ID, &c.Name, &c.OS, &c.Version, &c.CID, &c.APIVersion, &c.Digest, rawJSON{&c.CloudProperties})
	return c, err
}
