package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Disk is a persistent disk that belongs to an instance. An instance whose
// disk is being replaced has two for a while, one of them active.
type Disk struct {
	CID        string
	InstanceID string
	SizeMiB    int
	Active     bool
	// CloudProperties are those of the disk type it was made from.
	CloudProperties json.RawMessage
}

// OrphanDisk is a disk that lost its instance and was kept.
type OrphanDisk struct {
	CID             string
	SizeMiB         int
	Deployment      string
	Instance        string // group/id
	AZ              string
	CloudProperties json.RawMessage
	OrphanedAt      time.Time
}

// PutDisk creates or overwrites the row of a disk. Record a disk before it
// is made.
func (d *DB) PutDisk(ctx context.Context, disk Disk) error {
	cols, err := jsonValues(disk.CloudProperties)
	if err != nil {
		return err
	}
	_, err = d.exec(ctx, `INSERT INTO disks (cid, instance_id, size_mib, active, cloud_properties) VALUES (?,?,?,?,?)
		ON CONFLICT (cid) DO UPDATE SET instance_id = excluded.instance_id, size_mib = excluded.size_mib,
			active = excluded.active, cloud_properties = excluded.cloud_properties`,
		disk.CID, disk.InstanceID, disk.SizeMiB, disk.Active, cols[0])
	if err != nil {
		return fmt.Errorf("save disk %s: %w", disk.CID, err)
	}
	return nil
}

// Disks lists the disks of an instance, the active one first.
func (d *DB) Disks(ctx context.Context, instanceID string) ([]Disk, error) {
	list, err := all(ctx, d, scanDisk, `SELECT cid, instance_id, size_mib, active, cloud_properties FROM disks
		WHERE instance_id = ? ORDER BY active DESC, cid`, instanceID)
	if err != nil {
		return nil, fmt.Errorf("list disks of instance %s: %w", instanceID, err)
	}
	return list, nil
}

// AllDisks lists the disks of every instance.
func (d *DB) AllDisks(ctx context.Context) ([]Disk, error) {
	list, err := all(ctx, d, scanDisk, `SELECT cid, instance_id, size_mib, active, cloud_properties FROM disks ORDER BY cid`)
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	return list, nil
}

// ReplaceActiveDisk makes one disk of an instance active and another, which
// may be "", inactive, in one step. Faults: ErrNotFound.
func (d *DB) ReplaceActiveDisk(ctx context.Context, newCID, oldCID string) error {
	err := d.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE disks SET active = 0 WHERE cid = ?`, oldCID); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `UPDATE disks SET active = 1 WHERE cid = ?`, newCID)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, ErrNotFound)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("replace disk %s by %s: %w", oldCID, newCID, err)
	}
	return nil
}

// DeleteDisk forgets a disk; none is no fault.
func (d *DB) DeleteDisk(ctx context.Context, cid string) error {
	if _, err := d.exec(ctx, `DELETE FROM disks WHERE cid = ?`, cid); err != nil {
		return fmt.Errorf("delete disk %s: %w", cid, err)
	}
	return nil
}

// OrphanDisk turns a disk of an instance into an orphan, in one step.
// Faults: ErrNotFound.
func (d *DB) OrphanDisk(ctx context.Context, cid string, at time.Time) error {
	err := d.update(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO orphan_disks
				(cid, size_mib, deployment, instance, az, cloud_properties, orphaned_at)
			SELECT d.cid, d.size_mib, i.deployment, i."group" || '/' || i.id, i.az, d.cloud_properties, ?
			FROM disks d JOIN instances i ON i.id = d.instance_id WHERE d.cid = ?`, unix(at), cid)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err == nil && n == 0 {
			return ErrNotFound
		}
		_, err2 := tx.ExecContext(ctx, `DELETE FROM disks WHERE cid = ?`, cid)
		return errors.Join(err, err2)
	})
	if err != nil {
		return fmt.Errorf("orphan disk %s: %w", cid, err)
	}
	return nil
}

// OrphanDisks lists all orphans, the newest first.
func (d *DB) OrphanDisks(ctx context.Context) ([]OrphanDisk, error) {
	list, err := all(ctx, d, func(s scanner) (OrphanDisk, error) {
		var o OrphanDisk
		var at sql.NullInt64
		err := s.Scan(&o.CID, &o.SizeMiB, &o.Deployment, &o.Instance, &o.AZ, rawJSON{&o.CloudProperties}, &at)
		o.OrphanedAt = fromUnix(at)
		return o, err
	}, `SELECT cid, size_mib, deployment, instance, az, cloud_properties, orphaned_at FROM orphan_disks
		ORDER BY orphaned_at DESC, cid`)
	if err != nil {
		return nil, fmt.Errorf("list orphan disks: %w", err)
	}
	return list, nil
}

// DeleteOrphanDisk forgets an orphan; none is no fault.
func (d *DB) DeleteOrphanDisk(ctx context.Context, cid string) error {
	if _, err := d.exec(ctx, `DELETE FROM orphan_disks WHERE cid = ?`, cid); err != nil {
		return fmt.Errorf("delete orphan disk %s: %w", cid, err)
	}
	return nil
}

func scanDisk(s scanner) (Disk, error) {
	var disk Disk
	err := s.Scan(&disk.CID, &disk.InstanceID, &disk.SizeMiB, &disk.Active, rawJSON{&disk.CloudProperties})
	return disk, err
}
