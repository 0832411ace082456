package operation

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// vitalsTimeout is how long an agent may take to report before it counts as
// unresponsive here.
const vitalsTimeout = 5 * time.Second

// instanceInfo is a line of the result of `bosh instances` and `bosh vms`, in
// the director's form and order.
type instanceInfo struct {
	VMCID           *string                  `json:"vm_cid"`
	Active          *bool                    `json:"active"`
	VMCreatedAt     *string                  `json:"vm_created_at"`
	CloudProperties manifest.CloudProperties `json:"cloud_properties"`
	DiskCID         *string                  `json:"disk_cid"`
	DiskCIDs        []string                 `json:"disk_cids"`
	IPs             []string                 `json:"ips"`
	DNS             []string                 `json:"dns"`
	AgentID         *string                  `json:"agent_id"`
	JobName         string                   `json:"job_name"`
	Index           int                      `json:"index"`
	JobState        *string                  `json:"job_state"`
	State           string                   `json:"state"`
	VMType          *string                  `json:"vm_type"`
	Vitals          json.RawMessage          `json:"vitals"`
	Processes       []agent.Process          `json:"processes"`
	AZ              *string                  `json:"az"`
	ID              string                   `json:"id"`
	Bootstrap       bool                     `json:"bootstrap"`
	Ignore          bool                     `json:"ignore"`
	Stemcell        stemcellInfo             `json:"stemcell"`
}

type stemcellInfo struct {
	Name       *string `json:"name"`
	Version    *string `json:"version"`
	APIVersion *int    `json:"api_version"`
}

// WriteInstances writes the full state of a deployment's instances, a line of
// JSON each, to the task's result. It takes no lock: it looks while others work.
func (d *Director) WriteInstances(ctx context.Context, run *task.Run, r InstancesRequest) (string, error) {
	if _, err := d.db.Deployment(ctx, r.Deployment); err != nil {
		return "", deploymentNotFound(r.Deployment, err)
	}
	rows, err := d.db.Instances(ctx, r.Deployment)
	if err != nil {
		return "", err
	}
	var mu sync.Mutex
	return "", inParallel(ctx, 4*d.config.MaxThreads, rows, func(ctx context.Context, row db.Instance) error {
		if r.VMsOnly && row.VM == nil {
			return nil
		}
		info, err := d.instanceInfo(ctx, row)
		if err != nil {
			return err
		}
		line, err := json.Marshal(info)
		if err != nil {
			return fmt.Errorf("encode the state of %s: %w", row.Name(), err)
		}
		mu.Lock()
		defer mu.Unlock()
		if _, err := run.Result().Write(append(line, '\n')); err != nil {
			return fmt.Errorf("write the state of %s: %w", row.Name(), err)
		}
		return nil
	})
}

func (d *Director) instanceInfo(ctx context.Context, row db.Instance) (instanceInfo, error) {
	info := instanceInfo{
		DiskCIDs: []string{}, IPs: []string{}, DNS: []string{}, JobName: row.Group, Index: row.Index, State: row.State,
		Processes: []agent.Process{}, ID: row.ID, Bootstrap: row.Bootstrap, Ignore: row.Ignore,
	}
	if row.AZ != "" {
		info.AZ = &row.AZ
	}
	s, err := decodeSpec(row.Spec)
	if err != nil {
		return info, fmt.Errorf("instance %s: %w", row.Name(), err)
	}
	if s != nil {
		info.CloudProperties, info.VMType = s.Machine.Properties, &s.Machine.VMType
	}
	disk, err := d.activeDisk(ctx, row.ID)
	if err != nil {
		return info, err
	}
	if disk.CID != "" {
		info.DiskCID, info.DiskCIDs = &disk.CID, []string{disk.CID}
	}
	if row.VM == nil {
		return info, nil
	}
	return info, d.addVM(ctx, row, &info)
}

func (d *Director) addVM(ctx context.Context, row db.Instance, info *instanceInfo) error {
	created, active := row.VM.CreatedAt.UTC().Format(time.RFC3339), true
	info.VMCID, info.Active, info.VMCreatedAt, info.AgentID = &row.VM.CID, &active, &created, &row.VM.AgentID
	info.IPs, info.VMType = row.IPs, &row.VM.VMType
	info.Stemcell = stemcellInfo{Name: &row.VM.Stemcell.Name, Version: &row.VM.Stemcell.Version}
	if stemcell, err := d.db.Stemcell(ctx, row.VM.Stemcell.Name, row.VM.Stemcell.Version); err == nil {
		info.Stemcell.APIVersion = &stemcell.APIVersion
	}
	state, err := d.vitals(ctx, row)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		unresponsive := agentUnresponsive
		info.JobState = &unresponsive
		return nil
	}
	info.JobState, info.Vitals = &state.JobState, state.Vitals
	if state.Processes != nil {
		info.Processes = state.Processes
	}
	return nil
}

// vitals asks an agent for all it knows, with little patience.
func (d *Director) vitals(ctx context.Context, row db.Instance) (agent.State, error) {
	ctx, stop := context.WithTimeout(ctx, vitalsTimeout)
	defer stop()
	client, err := d.agentOfVM(row.VM.CID, slog.New(slog.DiscardHandler))
	if err != nil {
		return agent.State{}, err
	}
	return client.StateFull(ctx)
}
