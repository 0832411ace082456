package vm

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
)

// VM is one VM of a Host. Its methods do not block.
type VM struct {
	mu     sync.Mutex
	record record
	done   chan struct{}
	once   sync.Once
	doomed bool // DeleteVM has begun: its death is no news
}

func newVM(r record) *VM { return &VM{record: r, done: make(chan struct{})} }

// update changes the record under the lock and returns a copy of it.
func (v *VM) update(change func(*record)) record {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(&v.record)
	v.record.Disks = maps.Clone(v.record.Disks)
	return v.record
}

func (v *VM) look() record { return v.update(func(*record) {}) }

func (v *VM) ready() bool { return v.look().Ready }

// CID is the VM's name on this host.
func (v *VM) CID() string { return v.look().CID }

// Agent is what agent.New needs to reach the VM's agent.
func (v *VM) Agent() agent.Endpoint { return v.look().Endpoint }

// CreatedAt is when CreateVM was called.
func (v *VM) CreatedAt() time.Time { return v.look().CreatedAt }

// Disks returns the CIDs of the attached disks.
func (v *VM) Disks() []string { return slices.Sorted(maps.Keys(v.look().Disks)) }

// Alive tells whether the VM's init runs now.
func (v *VM) Alive() bool {
	select {
	case <-v.done:
		return false
	default:
		return v.look().Init.alive()
	}
}

// Done is closed when the VM's init has ended, whatever ended it.
func (v *VM) Done() <-chan struct{} { return v.done }

// PID is the VM's init as this machine numbers it; after its death it may name
// another process.
func (v *VM) PID() int { return v.look().Init.PID }

// Link is the host's end of the VM's network cable.
func (v *VM) Link() string { return v.look().Link }

// Cgroups are the VM's cgroup folders on this machine, by controller; with
// cgroup v2 there is one, called "".
func (v *VM) Cgroups() map[string]string { return maps.Clone(v.look().Cgroups) }

// ended notes the death. It returns true once, when it is news.
func (v *VM) ended() bool {
	news := false
	v.once.Do(func() {
		close(v.done)
		v.mu.Lock()
		defer v.mu.Unlock()
		news = v.record.Ready && !v.doomed
	})
	return news
}

// doom says that the VM is about to be killed on purpose.
func (v *VM) doom() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.doomed = true
}
