package vm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Config of a Host. Dir and Log are required.
type Config struct {
	Dir string // all state of the stack lies below it
	Log *slog.Logger
	// InitCommand starts InitMain as pid 1 of a VM: the program and its first
	// arguments. Default: this executable with "director", "vm-init".
	InitCommand []string
	// OnDeath is told the CID of a VM that died without DeleteVM, at once, from
	// a goroutine of its own. VMs that Open finds dead are reported too, maybe
	// before it returns.
	OnDeath func(cid string)
}

// Host runs the VMs of one stack. It is safe for concurrent use; calls about
// one VM or disk wait for each other, all others run in parallel.
type Host struct {
	config  Config
	stack   Stack
	cgroups cgroups
	limits  Limits
	lock    *os.File
	work    sync.WaitGroup // watchers
	stop    context.CancelFunc
	running context.Context

	network sync.Mutex // the bridge
	images  sync.Mutex // unpacking and removing stemcells
	names   keyed      // one VM or disk at a time

	mu     sync.Mutex // guards all below
	closed bool
	vms    map[string]*VM
	owners map[string]string // disk CID → CID of the VM it is attached to
}

// Open opens the stack in config.Dir. The first time it chooses a free name and
// subnet, registers them on this machine and records them. Later it adopts the
// VMs that still run and removes those whose creation was cut short. Only one
// Host at a time can have a Dir open: a second one gets ErrInUse.
func Open(ctx context.Context, config Config) (*Host, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("VMs are made of namespaces and devices: only root can run them")
	}
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the VM host: %w", err)
	}
	config.Dir = dir
	if err := resumeDestroy(ctx, config); err != nil {
		return nil, err
	}
	if len(config.InitCommand) == 0 {
		config.InitCommand = []string{"/proc/self/exe", "director", "vm-init"}
	}
	for _, d := range []string{dir, filepath.Join(dir, "vms"), filepath.Join(dir, "disks"), filepath.Join(dir, "stemcells")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("open the VM host: %w", err)
		}
	}
	h := &Host{config: config, vms: map[string]*VM{}, owners: map[string]string{}}
	h.running, h.stop = context.WithCancel(context.Background())
	if h.lock, err = lockDir(dir); err != nil {
		return nil, fmt.Errorf("open the VM host: %w", err)
	}
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the VM host: %w", err), h.Close())
	}
	return h, nil
}

func (h *Host) open(ctx context.Context) (err error) {
	if h.stack, err = openStack(h.config.Dir); err != nil {
		return err
	}
	if err := ensureUnreachable(h.stack.Subnet); err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	h.cgroups = findCgroups(string(mounts))
	h.limits = h.cgroups.prepare(h.stack.Name)
	if err := writeJSON(filepath.Join(h.config.Dir, stackFile), stackRecord{h.stack, h.limits}); err != nil {
		return err
	}
	if err := h.adopt(ctx); err != nil {
		return err
	}
	h.work.Go(h.refreshMeminfo)
	return nil
}

// lockDir keeps a second Host out of a folder for as long as this process lives.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s is opened by another process: %w", dir, ErrInUse)
	}
	return f, nil
}

// Close stops watching. The VMs keep running. Closing again is harmless.
func (h *Host) Close() error {
	h.mu.Lock()
	closed := h.closed
	h.closed = true
	h.mu.Unlock()
	if closed {
		return nil
	}
	h.stop()
	h.work.Wait()
	return h.lock.Close()
}

// Stack returns the stack's name and subnet.
func (h *Host) Stack() Stack { return h.stack }

// Limits says what this kernel enforces.
func (h *Host) Limits() Limits { return h.limits }

// VM returns a VM, running or dead, that was not deleted.
func (h *Host) VM(cid string) (*VM, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v, ok := h.vms[cid]
	return v, ok && v.ready()
}

// VMs returns all VMs, running or dead, in the order of their CIDs.
func (h *Host) VMs() []*VM {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*VM
	for _, cid := range slices.Sorted(maps.Keys(h.vms)) {
		if h.vms[cid].ready() {
			all = append(all, h.vms[cid])
		}
	}
	return all
}

// Alive tells whether the VM's init runs now.
func (h *Host) Alive(cid string) bool {
	v, ok := h.VM(cid)
	return ok && v.Alive()
}

// keyed is one lock per name.
type keyed struct {
	mu    sync.Mutex
	locks map[string]*keyedLock
}

type keyedLock struct {
	held chan struct{}
	uses int
}

// acquire waits for the name; the caller calls release when it is done.
func (k *keyed) acquire(ctx context.Context, name string) (release func(), err error) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*keyedLock{}
	}
	l := k.locks[name]
	if l == nil {
		l = &keyedLock{held: make(chan struct{}, 1)}
		k.locks[name] = l
	}
	l.uses++
	k.mu.Unlock()
	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.uses--; l.uses == 0 {
			delete(k.locks, name)
		}
	}
	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("wait for %s: %w", name, context.Cause(ctx))
	}
}
