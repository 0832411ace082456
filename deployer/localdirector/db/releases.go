package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Release is one version of an uploaded release.
type Release struct {
	Name               string
	Version            string
	CommitHash         string
	UncommittedChanges bool
	Jobs               []ReleaseJob
	Packages           []ReleasePackage
}

// ReleaseJob is a job of a release.
type ReleaseJob struct {
	Name        string
	Fingerprint string
	Digest      string // of the archive, as BOSH writes digests: sha1 hex or "sha256:…"
	BlobID      string // of the archive in the release store
	// Spec is what the job's job.MF says, as the upload wrote it.
	Spec json.RawMessage
}

// ReleasePackage is a source package of a release.
type ReleasePackage struct {
	Name         string
	Fingerprint  string
	Digest       string
	BlobID       string
	Dependencies []string
}

// CompiledPackage is a package that was compiled for a stemcell.
type CompiledPackage struct {
	Name        string
	Fingerprint string
	// DependencyKey stands for the fingerprints of all dependencies.
	DependencyKey   string
	StemcellOS      string
	StemcellVersion string
	BlobID          string
	Digest          string
}

// PutRelease stores a release version with its jobs and packages,
// overwriting an earlier upload of the same version.
func (d *DB) PutRelease(ctx context.Context, r Release) error {
	err := d.update(ctx, func(tx *sql.Tx) error {
		if err := deleteRelease(ctx, tx, r.Name, r.Version); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO releases (name, version, commit_hash, uncommitted_changes)
			VALUES (?,?,?,?)`, r.Name, r.Version, r.CommitHash, r.UncommittedChanges); err != nil {
			return err
		}
		for _, j := range r.Jobs {
			cols, err := jsonValues(j.Spec)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO release_jobs (release, version, name, fingerprint, digest, blob_id, spec)
				VALUES (?,?,?,?,?,?,?)`, r.Name, r.Version, j.Name, j.Fingerprint, j.Digest, j.BlobID, cols[0]); err != nil {
				return err
			}
		}
		for _, p := range r.Packages {
			cols, err := jsonValues(p.Dependencies)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO release_packages (release, version, name, fingerprint, digest, blob_id, dependencies)
				VALUES (?,?,?,?,?,?,?)`, r.Name, r.Version, p.Name, p.Fingerprint, p.Digest, p.BlobID, cols[0]); err != nil {
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

// Release finds a release version with its jobs and packages, both by name.
// Faults: ErrNotFound.
func (d *DB) Release(ctx context.Context, name, version string) (Release, error) {
	r, err := one(ctx, d, scanRelease, `SELECT `+releaseColumns+` FROM releases WHERE name = ? AND version = ?`, name, version)
	if err == nil {
		err = d.fillRelease(ctx, &r)
	}
	if err != nil {
		return Release{}, fmt.Errorf("find release %s/%s: %w", name, version, err)
	}
	return r, nil
}

// Releases lists all release versions with jobs and packages, by name, in
// the order of their upload.
func (d *DB) Releases(ctx context.Context) ([]Release, error) {
	list, err := all(ctx, d, scanRelease, `SELECT `+releaseColumns+` FROM releases ORDER BY name, id`)
	for i := range list {
		err = errors.Join(err, d.fillRelease(ctx, &list[i]))
	}
	if err != nil {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	return list, nil
}

// DeleteRelease forgets a release version; none is no fault.
func (d *DB) DeleteRelease(ctx context.Context, name, version string) error {
	err := d.update(ctx, func(tx *sql.Tx) error { return deleteRelease(ctx, tx, name, version) })
	if err != nil {
		return fmt.Errorf("delete release %s/%s: %w", name, version, err)
	}
	return nil
}

// PackagesByFingerprint lists the source packages of any release that have
// one of the fingerprints.
func (d *DB) PackagesByFingerprint(ctx context.Context, fingerprints []string) ([]ReleasePackage, error) {
	list, err := all(ctx, d, scanPackage, `SELECT name, fingerprint, digest, blob_id, dependencies FROM release_packages
		WHERE fingerprint IN (`+marks(len(fingerprints))+`) ORDER BY fingerprint`, anys(fingerprints)...)
	if err != nil {
		return nil, fmt.Errorf("find packages by fingerprint: %w", err)
	}
	return list, nil
}

// PutCompiledPackage records a compiled package under its key (fingerprint,
// dependencies, stemcell).
func (d *DB) PutCompiledPackage(ctx context.Context, c CompiledPackage) error {
	_, err := d.exec(ctx, `INSERT INTO compiled_packages (`+compiledColumns+`) VALUES (?,?,?,?,?,?,?)
		ON CONFLICT (fingerprint, dependency_key, stemcell_os, stemcell_version)
		DO UPDATE SET blob_id = excluded.blob_id, digest = excluded.digest`,
		c.Name, c.Fingerprint, c.DependencyKey, c.StemcellOS, c.StemcellVersion, c.BlobID, c.Digest)
	if err != nil {
		return fmt.Errorf("store compiled package %s/%s: %w", c.Name, c.Fingerprint, err)
	}
	return nil
}

// CompiledPackages lists what was compiled from a package with this
// fingerprint.
func (d *DB) CompiledPackages(ctx context.Context, fingerprint string) ([]CompiledPackage, error) {
	list, err := all(ctx, d, func(s scanner) (CompiledPackage, error) {
		var c CompiledPackage
		err := s.Scan(&c.Name, &c.Fingerprint, &c.DependencyKey, &c.StemcellOS, &c.StemcellVersion, &c.BlobID, &c.Digest)
		return c, err
	}, `SELECT `+compiledColumns+` FROM compiled_packages WHERE fingerprint = ? ORDER BY stemcell_os, stemcell_version`, fingerprint)
	if err != nil {
		return nil, fmt.Errorf("list compiled packages of %s: %w", fingerprint, err)
	}
	return list, nil
}

const (
	releaseColumns  = `name, version, commit_hash, uncommitted_changes`
	compiledColumns = `name, fingerprint, dependency_key, stemcell_os, stemcell_version, blob_id, digest`
)

func scanRelease(s scanner) (Release, error) {
	var r Release
	err := s.Scan(&r.Name, &r.Version, &r.CommitHash, &r.UncommittedChanges)
	return r, err
}

func scanPackage(s scanner) (ReleasePackage, error) {
	var p ReleasePackage
	err := s.Scan(&p.Name, &p.Fingerprint, &p.Digest, &p.BlobID, jsonColumn{&p.Dependencies})
	return p, err
}

func (d *DB) fillRelease(ctx context.Context, r *Release) error {
	var err, err2 error
	r.Jobs, err = all(ctx, d, func(s scanner) (ReleaseJob, error) {
		var j ReleaseJob
		err := s.Scan(&j.Name, &j.Fingerprint, &j.Digest, &j.BlobID, rawJSON{&j.Spec})
		return j, err
	}, `SELECT name, fingerprint, digest, blob_id, spec FROM release_jobs WHERE release = ? AND version = ? ORDER BY name`,
		r.Name, r.Version)
	r.Packages, err2 = all(ctx, d, scanPackage, `SELECT name, fingerprint, digest, blob_id, dependencies
		FROM release_packages WHERE release = ? AND version = ? ORDER BY name`, r.Name, r.Version)
	return errors.Join(err, err2)
}

func deleteRelease(ctx context.Context, tx *sql.Tx, name, version string) error {
	for _, table := range strings.Fields("release_jobs release_packages") {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE release = ? AND version = ?`, name, version); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM releases WHERE name = ? AND version = ?`, name, version)
	return err
}
