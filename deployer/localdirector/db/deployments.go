package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// Deployment is one row of the director's deployments. A deployment exists
// from the moment its first deploy was asked for, even when that failed.
type Deployment struct {
	Name string
	// Manifest is the text that the last successful deploy was given; empty
	// until one has succeeded.
	Manifest string
	// ResolvedManifest is the same with the versions of releases and
	// stemcells that "latest" stood for.
	ResolvedManifest string
	// CloudConfigIDs are the cloud configs the last successful deploy used.
	CloudConfigIDs []int64
	Releases       []NameVersion
	Stemcells      []NameVersion
	// Links belongs to package operation: what the last successful deploy
	// shares with other deployments.
	Links json.RawMessage
}

// EnsureDeployment stores a new deployment, without manifest, and says
// whether it was new; an existing one is left as it is.
func (d *DB) EnsureDeployment(ctx context.Context, name string, cloudConfigIDs []int64) (created bool, err error) {
	ids, err := toJSON(cloudConfigIDs)
	if err != nil {
		return false, err
	}
	res, err := d.exec(ctx, `INSERT INTO deployments (name, cloud_config_ids) VALUES (?, ?) ON CONFLICT (name) DO NOTHING`, name, ids)
	if err != nil {
		return false, fmt.Errorf("create deployment %s: %w", name, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// Deployment finds a deployment by its name. Faults: ErrNotFound.
func (d *DB) Deployment(ctx context.Context, name string) (Deployment, error) {
	dep, err := one(ctx, d, scanDeployment, `SELECT `+deploymentColumns+` FROM deployments WHERE name = ?`, name)
	if err != nil {
		return Deployment{}, fmt.Errorf("find deployment %s: %w", name, err)
	}
	return dep, nil
}

// Deployments lists all deployments by name.
func (d *DB) Deployments(ctx context.Context) ([]Deployment, error) {
	list, err := all(ctx, d, scanDeployment, `SELECT `+deploymentColumns+` FROM deployments ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list deployments: %w", err)
	}
	return list, nil
}

// SaveDeployment overwrites the row of an existing deployment. Faults:
// ErrNotFound.
func (d *DB) SaveDeployment(ctx context.Context, dep Deployment) error {
	cols, err := jsonValues(dep.CloudConfigIDs, dep.Releases, dep.Stemcells, dep.Links)
	if err != nil {
		return err
	}
	args := append([]any{dep.Manifest, dep.ResolvedManifest}, cols...)
	err = d.execOne(ctx, `UPDATE deployments SET manifest = ?, resolved_manifest = ?, cloud_config_ids = ?,
		releases = ?, stemcells = ?, links = ? WHERE name = ?`, append(args, dep.Name)...)
	if err != nil {
		return fmt.Errorf("save deployment %s: %w", dep.Name, err)
	}
	return nil
}

// DeleteDeployment forgets the deployment with its instances, the rows of
// their disks and its variables. Deleting one that does not exist is no
// fault.
func (d *DB) DeleteDeployment(ctx context.Context, name string) error {
	err := d.update(ctx, func(tx *sql.Tx) error {
		_, e1 := tx.ExecContext(ctx, `DELETE FROM deployments WHERE name = ?`, name)
		_, e2 := tx.ExecContext(ctx, `DELETE FROM variables WHERE deployment = ?`, name)
		return errors.Join(e1, e2)
	})
	if err != nil {
		return fmt.Errorf("delete deployment %s: %w", name, err)
	}
	return nil
}

const deploymentColumns = `name, manifest, resolved_manifest, cloud_config_ids, releases, stemcells, links`

func scanDeployment(s scanner) (Deployment, error) {
	var dep Deployment
	err := s.Scan(&dep.Name, &dep.Manifest, &dep.ResolvedManifest, jsonColumn{&dep.CloudConfigIDs},
		jsonColumn{&dep.Releases}, jsonColumn{&dep.Stemcells}, rawJSON{&dep.Links})
	return dep, err
}
