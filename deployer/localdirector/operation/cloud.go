package operation

import (
	"context"
	"net/netip"
	"sync"

	"github.com/cloudfoundry/bosh-agent/v2/agentclient"
	"github.com/cloudfoundry/bosh-agent/v2/agentclient/applyspec"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

// cloud is where VMs and persistent disks live.
type cloud interface {
	machines
	diskStore
	EnsureSubnet(ctx context.Context, gateway netip.Prefix) error
}

type machines interface {
	CreateVM(ctx context.Context, s vm.VMSpec) error
	DeleteVM(ctx context.Context, cid string) error
	// Alive tells whether the VM runs; a VM that does not exist does not.
	Alive(cid string) bool
	CIDs() []string
	// Agent reaches the agent of a VM; gone is closed when the VM has died.
	Agent(cid string) (client agentClient, gone <-chan struct{}, err error)
}

type diskStore interface {
	CreateDisk(ctx context.Context, cid string, sizeMiB int) (string, error)
	DeleteDisk(ctx context.Context, cid string) error
	HasDisk(cid string) bool
	AttachDisk(ctx context.Context, vmCID, diskCID string) (vm.DiskHint, error)
	DetachDisk(ctx context.Context, vmCID, diskCID string) error
}

// agentClient is an agent as the operations see it: *agent.Client.
type agentClient interface {
	agentState
	agentJobs
	agentBlobs
	agentDisks
}

type agentState interface {
	WaitReady(ctx context.Context) error
	State(ctx context.Context) (agent.State, error)
	StateFull(ctx context.Context) (agent.State, error)
	Prepare(ctx context.Context, s applyspec.ApplySpec) error
	Apply(ctx context.Context, s applyspec.ApplySpec) error
}

type agentJobs interface {
	RunScript(ctx context.Context, name string, env map[string]string) error
	Drain(ctx context.Context, why agent.DrainType, next *applyspec.ApplySpec) error
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	RunErrand(ctx context.Context, job string) (agent.ErrandResult, error)
}

type agentBlobs interface {
	PutBlob(ctx context.Context, from string) (string, error)
	GetBlob(ctx context.Context, id, to string) error
	DeleteBlob(ctx context.Context, id string) error
	CompilePackage(ctx context.Context, source agentclient.BlobRef, dependencies []agentclient.BlobRef) (agentclient.BlobRef, error)
}

type agentDisks interface {
	AddPersistentDisk(ctx context.Context, diskCID string, hint any) error
	RemovePersistentDisk(ctx context.Context, diskCID string) error
	MountDisk(ctx context.Context, diskCID string) error
	UnmountDisk(ctx context.Context, diskCID string) error
	MigrateDisk(ctx context.Context) error
	ListDisk(ctx context.Context) ([]string, error)
}

// hostCloud is this machine as a cloud. It keeps one client a VM, so that the
// connections to its agent are used again.
type hostCloud struct {
	*vm.Host
	mu      sync.Mutex
	clients map[string]*agent.Client
}

func newHostCloud(host *vm.Host) *hostCloud {
	return &hostCloud{Host: host, clients: map[string]*agent.Client{}}
}

// CreateVM makes a VM; its agent is reached by Agent.
func (h *hostCloud) CreateVM(ctx context.Context, s vm.VMSpec) error {
	_, err := h.Host.CreateVM(ctx, s)
	return err
}

// DeleteVM removes a VM and the connections to its agent.
func (h *hostCloud) DeleteVM(ctx context.Context, cid string) error {
	h.mu.Lock()
	client := h.clients[cid]
	delete(h.clients, cid)
	h.mu.Unlock()
	if client != nil {
		client.Close()
	}
	return h.Host.DeleteVM(ctx, cid)
}

// CIDs lists all VMs of the host.
func (h *hostCloud) CIDs() []string {
	var cids []string
	for _, v := range h.VMs() {
		cids = append(cids, v.CID())
	}
	return cids
}

// Agent returns the client of a VM's agent.
func (h *hostCloud) Agent(cid string) (agentClient, <-chan struct{}, error) {
	v, ok := h.VM(cid)
	if !ok {
		return nil, nil, vm.ErrNotFound
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if client := h.clients[cid]; client != nil {
		return client, v.Done(), nil
	}
	client, err := agent.New(v.Agent(), agent.Options{})
	if err != nil {
		return nil, nil, err
	}
	h.clients[cid] = client
	return client, v.Done(), nil
}
