package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// PutRelease stores a release version, overwriting an earlier upload of the
// same version.
func (d *DB) PutRelease(ctx context.Context, r release.Release) error {
	err := d.update(ctx, func(tx *sql.Tx) error {
		content, err := toJSON(r)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO releases (name, version, content) VALUES (?,?,?)
			ON CONFLICT (name, version) DO UPDATE SET content = excluded.content`, r.Name, r.Version, content); err != nil {
			return err
		}
		if err := forgetPackages(ctx, tx, r.Name, r.Version); err != nil {
			return err
		}
		for _, p := range r.Packages {
			content, err := toJSON(p)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO release_packages (release, version, name, fingerprint, content)
				VALUES (?,?,?,?,?)`, r.Name, r.Version, p.Name, p.Fingerprint, content); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store release %s/%s: %w", r.Name, r.Version, err)
	}
	return nil
}

// Release finds a release version. Faults: ErrNotFound.
func (d *DB) Release(ctx context.Context, name, version string) (release.Release, error) {
	r, err := one(ctx, d, scanJSON[release.Release], `SELECT content FROM releases WHERE name = ? AND version = ?`, name, version)
	if err != nil {
		return release.Release{}, fmt.Errorf("find release %s/%s: %w", name, version, err)
	}
	return r, nil
}

// Releases lists all release versions, by name, in the order of their
// upload.
func (d *DB) Releases(ctx context.Context) ([]release.Release, error) {
	list, err := all(ctx, d, scanJSON[release.Release], `SELECT content FROM releases ORDER BY name, id`)
	if err != nil {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	return list, nil
}

// DeleteRelease forgets a release version; none is no fault.
func (d *DB) DeleteRelease(ctx context.Context, name, version string) error {
	err := d.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM releases WHERE name = ? AND version = ?`, name, version)
		return errors.Join(err, forgetPackages(ctx, tx, name, version))
	})
	if err != nil {
		return fmt.Errorf("delete release %s/%s: %w", name, version, err)
	}
	return nil
}

// PackageByFingerprint finds a source package with that fingerprint in any
// release. Faults: ErrNotFound.
func (d *DB) PackageByFingerprint(ctx context.Context, fingerprint string) (release.Package, error) {
	p, err := one(ctx, d, scanJSON[release.Package], `SELECT content FROM release_packages WHERE fingerprint = ? LIMIT 1`, fingerprint)
	if err != nil {
		return release.Package{}, fmt.Errorf("find a package with fingerprint %s: %w", fingerprint, err)
	}
	return p, nil
}

func forgetPackages(ctx context.Context, tx *sql.Tx, name, version string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM release_packages WHERE release = ? AND version = ?`, name, version)
	return err
}

func scanJSON[T any](s scanner) (T, error) {
	var v T
	err := s.Scan(jsonColumn{&v})
	return v, err
}
