package vm

import (
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
)

// VM is one VM of a Host. Its methods do not block.
type VM struct{}

// CID is the VM's name on this host.
func (v *VM) CID() string { return "" }

// Agent is what agent.New needs to reach the VM's agent.
func (v *VM) Agent() agent.Endpoint { return agent.Endpoint{} }

// CreatedAt is when CreateVM was called.
func (v *VM) CreatedAt() time.Time { return time.Time{} }

// Disks returns the CIDs of the attached disks.
func (v *VM) Disks() []string { return nil }

// Alive tells whether the VM's init runs now.
func (v *VM) Alive() bool { return false }

// Done is closed when the VM's init has ended, whatever ended it.
func (v *VM) Done() <-chan struct{} { return nil }

// PID is the VM's init as this machine numbers it.
func (v *VM) PID() int { return 0 }

// Link is the host's end of the VM's network cable.
func (v *VM) Link() string { return "" }

// Cgroups are the VM's cgroup folders on this machine, by controller; with
// cgroup v2 there is one, called "".
func (v *VM) Cgroups() map[string]string { return nil }
