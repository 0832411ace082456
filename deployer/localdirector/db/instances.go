package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// The states an operator can want an instance to be in.
const (
	StateStarted  = "started"
	StateStopped  = "stopped"
	StateDetached = "detached" // stopped and without a VM
)

// Instance is one instance of an instance group: it outlives its VM.
type Instance struct {
	ID         string // the instance's GUID
	Deployment string
	Group      string
	Index      int
	AZ         string
	// State is what the operator wants: StateStarted, StateStopped or
	// StateDetached.
	State              string
	Lifecycle          string // "service" or "errand"
	Bootstrap          bool
	Ignore             bool
	ResurrectionPaused bool
	// UpdateCompleted is false from before an update touches the instance
	// until it has succeeded, so that the next deploy repairs it.
	UpdateCompleted bool
	IPs             []string
	// Networks and Spec belong to package operation: the planned networks
	// and the spec that was last applied.
	Networks json.RawMessage
	Spec     json.RawMessage
	// VM is nil while the instance has none.
	VM *VM
}

// Name is the instance as the director writes it: group/id.
func (i Instance) Name() string { return i.Group + "/" + i.ID }

// VM is the machine an instance has now. It is recorded before the machine
// is made, so that a killed director knows what to clean up.
type VM struct {
	CID       string
	AgentID   string
	CreatedAt time.Time
	Stemcell  NameVersion
	VMType    string
}

// PutInstance creates or overwrites the instance with its ID. Its deployment
// must exist. Ignore and ResurrectionPaused, which operators set at any time,
// are stored for a new instance only: an operation that holds an older copy of
// the row does not undo them.
func (d *DB) PutInstance(ctx context.Context, i Instance) error {
	vm := i.VM
	if vm == nil {
		vm = &VM{}
	}
	cols, err := jsonValues(i.IPs, i.Networks, i.Spec)
	if err != nil {
		return err
	}
	_, err = d.exec(ctx, `INSERT INTO instances (`+instanceColumns+`)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET "group" = excluded."group", idx = excluded.idx, az = excluded.az,
			state = excluded.state, lifecycle = excluded.lifecycle, bootstrap = excluded.bootstrap,
			update_completed = excluded.update_completed, ips = excluded.ips, networks = excluded.networks,
			spec = excluded.spec, vm_cid = excluded.vm_cid, agent_id = excluded.agent_id,
			vm_created_at = excluded.vm_created_at, stemcell_name = excluded.stemcell_name,
			stemcell_version = excluded.stemcell_version, vm_type = excluded.vm_type`,
		i.ID, i.Deployment, i.Group, i.Index, i.AZ, i.State, i.Lifecycle, i.Bootstrap, i.Ignore,
		i.ResurrectionPaused, i.UpdateCompleted, cols[0], cols[1], cols[2],
		sql.NullString{String: vm.CID, Valid: i.VM != nil}, vm.AgentID, unix(vm.CreatedAt),
		vm.Stemcell.Name, vm.Stemcell.Version, vm.VMType)
	if err != nil {
		return fmt.Errorf("save instance %s: %w", i.Name(), err)
	}
	return nil
}

// SetResurrectionPaused sets the flag of one instance. Faults: ErrNotFound.
func (d *DB) SetResurrectionPaused(ctx context.Context, id string, paused bool) error {
	if err := d.execOne(ctx, `UPDATE instances SET resurrection_paused = ? WHERE id = ?`, paused, id); err != nil {
		return fmt.Errorf("set resurrection of instance %s: %w", id, err)
	}
	return nil
}

// SetIgnored sets the flag of one instance. Faults: ErrNotFound.
func (d *DB) SetIgnored(ctx context.Context, id string, ignored bool) error {
	if err := d.execOne(ctx, `UPDATE instances SET ignored = ? WHERE id = ?`, ignored, id); err != nil {
		return fmt.Errorf("set ignore of instance %s: %w", id, err)
	}
	return nil
}

// Instance finds an instance by its ID. Faults: ErrNotFound.
func (d *DB) Instance(ctx context.Context, id string) (Instance, error) {
	i, err := one(ctx, d, scanInstance, `SELECT `+instanceColumns+` FROM instances WHERE id = ?`, id)
	if err != nil {
		return Instance{}, fmt.Errorf("find instance %s: %w", id, err)
	}
	return i, nil
}

// Instances lists a deployment's instances by group and index.
func (d *DB) Instances(ctx context.Context, deployment string) ([]Instance, error) {
	list, err := all(ctx, d, scanInstance, `SELECT `+instanceColumns+` FROM instances
		WHERE deployment = ? ORDER BY "group", idx`, deployment)
	if err != nil {
		return nil, fmt.Errorf("list instances of %s: %w", deployment, err)
	}
	return list, nil
}

// AllInstances lists the instances of every deployment.
func (d *DB) AllInstances(ctx context.Context) ([]Instance, error) {
	list, err := all(ctx, d, scanInstance, `SELECT `+instanceColumns+` FROM instances
		ORDER BY deployment, "group", idx`)
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	return list, nil
}

// DeleteInstance forgets an instance and the rows of its disks; none is no
// fault. Orphan the disks that are to be kept first.
func (d *DB) DeleteInstance(ctx context.Context, id string) error {
	if _, err := d.exec(ctx, `DELETE FROM instances WHERE id = ?`, id); err != nil {
		return fmt.Errorf("delete instance %s: %w", id, err)
	}
	return nil
}

const instanceColumns = `id, deployment, "group", idx, az, state, lifecycle, bootstrap, ignored,
	resurrection_paused, update_completed, ips, networks, spec, vm_cid, agent_id, vm_created_at,
	stemcell_name, stemcell_version, vm_type`

func scanInstance(s scanner) (Instance, error) {
	var (
		i         Instance
		vm        VM
		cid       sql.NullString
		createdAt sql.NullInt64
	)
	err := s.Scan(&i.ID, &i.Deployment, &i.Group, &i.Index, &i.AZ, &i.State, &i.Lifecycle, &i.Bootstrap, &i.Ignore,
		&i.ResurrectionPaused, &i.UpdateCompleted, jsonColumn{&i.IPs}, rawJSON{&i.Networks}, rawJSON{&i.Spec},
		&cid, &vm.AgentID, &createdAt, &vm.Stemcell.Name, &vm.Stemcell.Version, &vm.VMType)
	if cid.Valid {
		vm.CID, vm.CreatedAt = cid.String, fromUnix(createdAt)
		i.VM = &vm
	}
	return i, err
}
