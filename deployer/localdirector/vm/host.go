package vm

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
)

// Config of a Host. Dir and Log are required.
type Config struct {
	Dir string // all state of the stack lies below it
	Log *slog.Logger
	// InitCommand starts InitMain as pid 1 of a VM: the program and its first
	// arguments. Default: this executable with "director", "vm-init".
	InitCommand []string
	// OnDeath is told the CID of a VM that died without DeleteVM, at once, from
	// a goroutine of its own. Open calls it also for VMs that died while no Host
	// was open.
	OnDeath func(cid string)
}

// Host runs the VMs of one stack. It is safe for concurrent use; calls about
// one VM or disk wait for each other, all others run in parallel.
type Host struct {
	config Config
	stack  Stack
}

// Open opens the stack in config.Dir. The first time it chooses a free name and
// subnet, registers them on this machine and records them. Later it adopts the
// VMs that still run and removes those whose creation was cut short. Only one
// Host at a time can have a Dir open: a second one gets ErrInUse.
func Open(ctx context.Context, config Config) (*Host, error) { return nil, errors.ErrUnsupported }

// Close stops watching. The VMs keep running. Closing again is harmless.
func (h *Host) Close() error { return nil }

// Stack returns the stack's name and subnet.
func (h *Host) Stack() Stack { return h.stack }

// Limits says what this kernel enforces.
func (h *Host) Limits() Limits { return Limits{} }

// EnsureSubnet gives the bridge the gateway's address, with the subnet's length
// (10.240.16.1/24). It refuses subnets outside the stack's. Repeating is
// harmless.
func (h *Host) EnsureSubnet(ctx context.Context, gateway netip.Prefix) error { return nil }

// CreateVM starts a VM and returns when its init runs, not yet its agent: wait
// for that with agent.Client.WaitReady. When anything fails, the error says why
// and nothing is left. A CID that exists is ErrExists, an unknown stemcell or
// disk ErrNotFound, an attached disk ErrInUse, an address outside the ensured
// subnets or of another VM an error that names it.
func (h *Host) CreateVM(ctx context.Context, spec VMSpec) (*VM, error) { return nil, nil }

// DeleteVM ends all of a VM's processes and removes everything of it but its
// persistent disks, which are detached. An unknown CID is no error: repeating
// is harmless.
func (h *Host) DeleteVM(ctx context.Context, cid string) error { return nil }

// VM returns a VM, running or dead, that was not deleted.
func (h *Host) VM(cid string) (*VM, bool) { return nil, false }

// VMs returns all VMs, running or dead, in the order of their CIDs.
func (h *Host) VMs() []*VM { return nil }

// Alive tells whether the VM's init runs now.
func (h *Host) Alive(cid string) bool { return false }
