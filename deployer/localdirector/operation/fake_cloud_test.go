package operation

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

// world is a cloud in memory: VMs with agents, disks with content. It refuses
// what the real one would refuse.
type world struct {
	mu       sync.Mutex
	vms      map[string]*fakeVM
	disks    map[string]*fakeDisk
	subnets  map[netip.Prefix]bool
	stemcell string
	calls    []string // all that changed something, in order
	faults   map[string]error

	// enter and leave are called, without the lock, before and after everything
	// that changes something. enter's error is the call's.
	enter func(call string) error
	leave func(call string)
	// script is what a script of an instance's jobs does.
	script func(ctx context.Context, v *fakeVM, name string, env map[string]string) error
	// errand is what an errand does; nil succeeds.
	errand func(ctx context.Context, v *fakeVM, job string) (exitCode int, err error)
	// crashing jobs never run.
	crashing bool
}

type fakeVM struct {
	w          *world
	spec       vm.VMSpec
	alive      bool
	gone       chan struct{}
	responsive bool
	agent      fakeAgent
}

type fakeDisk struct {
	sizeMiB int
	on      string // the VM it is attached to
	content string
}

func newWorld() *world {
	return &world{vms: map[string]*fakeVM{}, disks: map[string]*fakeDisk{}, subnets: map[netip.Prefix]bool{}, stemcell: "stemcell-1", faults: map[string]error{}}
}

// change runs an effect, unless the call is to fail.
func (w *world) change(call string, effect func() error) error {
	w.mu.Lock()
	enter, leave := w.enter, w.leave
	w.mu.Unlock()
	if enter != nil {
		if err := enter(call); err != nil {
			return err
		}
	}
	w.mu.Lock()
	err := w.faults[call]
	if err == nil {
		w.calls = append(w.calls, call)
		err = effect()
	}
	w.mu.Unlock()
	if err == nil && leave != nil {
		leave(call)
	}
	return err
}

// hook sets what is called around every change.
func (w *world) hook(enter func(call string) error, leave func(call string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.enter, w.leave = enter, leave
}

// since returns the calls after the first n.
func (w *world) since(n int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls[n:])
}

func (w *world) count() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.calls) }

func (w *world) CreateVM(_ context.Context, s vm.VMSpec) error {
	return w.change("create_vm", func() error {
		if w.vms[s.CID] != nil {
			return vm.ErrExists
		}
		if s.StemcellCID != w.stemcell {
			return fmt.Errorf("stemcell %s: %w", s.StemcellCID, vm.ErrNotFound)
		}
		for _, n := range s.Networks {
			if !w.subnets[netip.PrefixFrom(n.Gateway, n.Address.Bits())] {
				return fmt.Errorf("no bridge address for %s", n.Address)
			}
			for _, other := range w.vms {
				for _, taken := range other.spec.Networks {
					if taken.Address == n.Address {
						return fmt.Errorf("address %s belongs to VM %s", n.Address, other.spec.CID)
					}
				}
			}
		}
		for _, cid := range s.DiskCIDs {
			disk := w.disks[cid]
			if disk == nil {
				return fmt.Errorf("disk %s: %w", cid, vm.ErrNotFound)
			}
			if disk.on != "" {
				return fmt.Errorf("disk %s: %w", cid, vm.ErrInUse)
			}
			disk.on = s.CID
		}
		v := &fakeVM{w: w, spec: s, alive: true, gone: make(chan struct{}), responsive: true}
		v.agent.init(v)
		w.vms[s.CID] = v
		return nil
	})
}

func (w *world) DeleteVM(_ context.Context, cid string) error {
	return w.change("delete_vm", func() error {
		for _, disk := range w.disks {
			if disk.on == cid {
				disk.on = ""
			}
		}
		if v := w.vms[cid]; v != nil && v.alive {
			v.alive = false
			close(v.gone)
		}
		delete(w.vms, cid)
		return nil
	})
}

func (w *world) Alive(cid string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.vms[cid]
	return v != nil && v.alive
}

func (w *world) CIDs() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.vms))
}

func (w *world) Agent(cid string) (agentClient, <-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := w.vms[cid]
	if v == nil {
		return nil, nil, vm.ErrNotFound
	}
	return &v.agent, v.gone, nil
}

func (w *world) EnsureSubnet(_ context.Context, gateway netip.Prefix) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subnets[gateway] = true
	return nil
}

func (w *world) CreateDisk(_ context.Context, cid string, sizeMiB int) (string, error) {
	return cid, w.change("create_disk", func() error {
		if w.disks[cid] != nil {
			return vm.ErrExists
		}
		w.disks[cid] = &fakeDisk{sizeMiB: sizeMiB}
		return nil
	})
}

func (w *world) DeleteDisk(_ context.Context, cid string) error {
	return w.change("delete_disk", func() error {
		if disk := w.disks[cid]; disk != nil && disk.on != "" {
			return fmt.Errorf("disk %s: %w", cid, vm.ErrInUse)
		}
		delete(w.disks, cid)
		return nil
	})
}

func (w *world) HasDisk(cid string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.disks[cid] != nil
}

func (w *world) AttachDisk(_ context.Context, vmCID, diskCID string) (vm.DiskHint, error) {
	return vm.DiskHint{Path: "/dev/" + diskCID}, w.change("attach_disk", func() error {
		disk := w.disks[diskCID]
		if disk == nil || w.vms[vmCID] == nil {
			return vm.ErrNotFound
		}
		if disk.on != "" && disk.on != vmCID {
			return vm.ErrInUse
		}
		disk.on = vmCID
		return nil
	})
}

func (w *world) DetachDisk(_ context.Context, vmCID, diskCID string) error {
	return w.change("detach_disk", func() error {
		if v := w.vms[vmCID]; v != nil && slices.Contains(v.agent.mounted, diskCID) {
			return vm.ErrInUse
		}
		if disk := w.disks[diskCID]; disk != nil && disk.on == vmCID {
			disk.on = ""
		}
		return nil
	})
}

// kill ends a VM as a crash would.
func (w *world) kill(cid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.vms[cid].alive {
		close(w.vms[cid].gone)
	}
	w.vms[cid].alive, w.vms[cid].responsive = false, false
	for _, disk := range w.disks {
		if disk.on == cid {
			w.vms[cid].agent.mounted = nil
		}
	}
}
