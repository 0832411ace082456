package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

// agentReadyTimeout is how long a new VM's agent may take to answer.
const agentReadyTimeout = 3 * time.Minute

// launch makes a VM and waits for its agent. When that fails nothing is left
// of the VM.
func (d *Director) launch(ctx context.Context, run *task.Run, cid, agentID string, m machineSpec, disks []string) (agentClient, error) {
	stemcell, err := d.db.Stemcell(ctx, m.Stemcell.Name, m.Stemcell.Version)
	if err != nil {
		return nil, fmt.Errorf("create VM %s: %w", cid, err)
	}
	var env map[string]any
	if len(m.Env) > 0 {
		if err := json.Unmarshal(m.Env, &env); err != nil {
			return nil, fmt.Errorf("create VM %s: read its env: %w", cid, err)
		}
	}
	for _, n := range m.Networks {
		if err := d.cloud.EnsureSubnet(ctx, gatewayPrefix(n)); err != nil {
			return nil, fmt.Errorf("create VM %s: network %s: %w", cid, n.Name, err)
		}
	}
	begin := d.now()
	err = d.cloud.CreateVM(ctx, vm.VMSpec{
		CID: cid, StemcellCID: stemcell.CID, AgentID: agentID, Networks: m.vmNetworks(), MemoryMiB: m.Properties.MemoryMiB,
		CPUs: m.Properties.CPUs, EphemeralDiskMiB: m.Properties.EphemeralDiskMiB, Env: env, DiskCIDs: disks,
	})
	if err != nil {
		return nil, fmt.Errorf("create VM %s: %w", cid, err)
	}
	client, err := d.awaitAgent(ctx, run, cid, agentID)
	if err != nil {
		return nil, errors.Join(err, d.cloud.DeleteVM(context.WithoutCancel(ctx), cid))
	}
	run.CPILog().Info("created VM", "cid", cid, "stemcell", m.Stemcell, "ips", m.ips(), "disks", disks, "took", d.now().Sub(begin))
	return client, nil
}

func (d *Director) awaitAgent(ctx context.Context, run *task.Run, cid, agentID string) (agentClient, error) {
	client, err := d.agentOfVM(cid, run.Log().With("vm", cid))
	if err != nil {
		return nil, err
	}
	patience, stop := context.WithTimeout(ctx, agentReadyTimeout)
	defer stop()
	err = client.WaitReady(patience)
	if err != nil && ctx.Err() == nil && patience.Err() != nil {
		return nil, task.Errorf(codeRPCTimeout, "Timed out pinging VM '%s' with agent '%s' after %d seconds",
			cid, agentID, int(agentReadyTimeout.Seconds()))
	}
	if err != nil {
		return nil, fmt.Errorf("wait for the agent of VM %s: %w", cid, err)
	}
	return client, nil
}

// createVM gives the instance a VM made with s, with its disk mounted and the
// agent told who it is. The row says so before the VM exists; when creating it
// fails, the row has no VM again.
func (d *Director) createVM(ctx context.Context, run *task.Run, row *db.Instance, s spec) error {
	raw, err := s.encode()
	if err != nil {
		return err
	}
	disks, err := d.db.Disks(ctx, row.ID)
	if err != nil {
		return err
	}
	var active []string
	if len(disks) > 0 && disks[0].Active {
		active = []string{disks[0].CID}
	}
	row.VM = &db.VM{CID: "vm-" + newGUID(), AgentID: newGUID(), CreatedAt: d.now(), Stemcell: s.Machine.Stemcell, VMType: s.Machine.VMType}
	row.Spec, row.IPs, row.UpdateCompleted = raw, s.Machine.ips(), false
	if err := d.db.PutInstance(ctx, *row); err != nil {
		return err
	}
	return audited(ctx, run, partEvent("create", "vm", "", *row), func(end *db.Event) error {
		end.ObjectName = row.VM.CID
		client, err := d.launch(ctx, run, row.VM.CID, row.VM.AgentID, s.Machine, active)
		if err == nil {
			err = d.introduce(ctx, client, *row, s, active)
		}
		if err == nil {
			return nil
		}
		err = agentFault(ctx, *row, err)
		return errors.Join(err, d.dropVM(context.WithoutCancel(ctx), run, row))
	})
}

// introduce mounts the disks of a new VM and tells its agent who it is.
func (d *Director) introduce(ctx context.Context, client agentClient, row db.Instance, s spec, disks []string) error {
	for _, cid := range disks {
		if err := client.MountDisk(ctx, cid); err != nil {
			return err
		}
	}
	return client.Apply(ctx, s.machineOnly(row))
}

// dropVM removes the instance's VM, as far as there is one, and then forgets it.
func (d *Director) dropVM(ctx context.Context, run *task.Run, row *db.Instance) error {
	if row.VM == nil {
		return nil
	}
	cid := row.VM.CID
	if err := d.cloud.DeleteVM(ctx, cid); err != nil {
		return fmt.Errorf("delete VM %s of %s: %w", cid, row.Name(), err)
	}
	run.CPILog().Info("deleted VM", "cid", cid, "instance", row.Name())
	row.VM = nil
	return d.db.PutInstance(ctx, *row)
}

// deleteVM removes the instance's VM and leaves an entry in the trail.
func (d *Director) deleteVM(ctx context.Context, run *task.Run, row *db.Instance) error {
	if row.VM == nil {
		return nil
	}
	return audited(ctx, run, partEvent("delete", "vm", row.VM.CID, *row), func(*db.Event) error {
		return d.dropVM(ctx, run, row)
	})
}
