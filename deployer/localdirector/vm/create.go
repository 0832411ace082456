package vm

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// startPatience is how long a VM's init may take to hand over to the stemcell's.
const startPatience = 30 * time.Second

var validCID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)

// CreateVM starts a VM and returns when its init runs, not yet its agent: wait
// for that with agent.Client.WaitReady. When anything fails, the error says why
// and nothing is left. A CID that exists is ErrExists, an unknown stemcell or
// disk ErrNotFound, an attached disk ErrInUse, an address outside the ensured
// subnets or of another VM an error that names it.
func (h *Host) CreateVM(ctx context.Context, spec VMSpec) (*VM, error) {
	if spec.CID == "" {
		spec.CID = "vm-" + newID()
	}
	release, err := h.names.acquire(ctx, "vm "+spec.CID)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := h.checkSpec(spec); err != nil {
		return nil, fmt.Errorf("create VM %s: %w", spec.CID, err)
	}
	v, err := h.reserve(spec)
	if err != nil {
		return nil, fmt.Errorf("create VM %s: %w", spec.CID, err)
	}
	if err := h.build(ctx, v); err != nil {
		err = fmt.Errorf("create VM %s: %w", spec.CID, err)
		// The caller may have given up; what was begun is removed all the same.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), startPatience)
		defer cancel()
		return nil, errors.Join(err, h.discard(clean, v))
	}
	return v, nil
}

// checkSpec refuses what can be refused without looking at other VMs.
func (h *Host) checkSpec(spec VMSpec) error {
	if !validCID.MatchString(spec.CID) {
		return fmt.Errorf("%q cannot be a CID", spec.CID)
	}
	if spec.AgentID == "" || strings.ContainsAny(spec.AgentID, " \n/") {
		return fmt.Errorf("%q cannot be an agent id", spec.AgentID)
	}
	if spec.MemoryMiB < 0 || spec.CPUs < 0 {
		return fmt.Errorf("memory (%d MiB) and CPUs (%v) cannot be negative", spec.MemoryMiB, spec.CPUs)
	}
	if spec.MemoryMiB > 0 && spec.MemoryMiB < 32 {
		return fmt.Errorf("memory of %d MiB is too small: the agent alone needs 32", spec.MemoryMiB)
	}
	if len(spec.Networks) == 0 {
		return errors.New("it has no network")
	}
	if stackIsGone(h.config.Dir) {
		return ErrNoStack
	}
	if spec.StemcellCID == "" || !validCID.MatchString(spec.StemcellCID) {
		return fmt.Errorf("stemcell %q: %w", spec.StemcellCID, ErrNotFound)
	}
	if _, err := os.Stat(h.stemcellRoot(spec.StemcellCID)); err != nil {
		return fmt.Errorf("stemcell %s: %w", spec.StemcellCID, ErrNotFound)
	}
	subnets, err := ensuredSubnets(h.stack.Bridge)
	if err != nil {
		return err
	}
	for name, n := range spec.Networks {
		if !containsAddr(subnets, n.Address) {
			return fmt.Errorf("network %s: the subnet of %v has not been set up", name, n.Address)
		}
	}
	return nil
}

// reserve enters the VM with its addresses and disks, or says who has them.
func (h *Host) reserve(spec VMSpec) (*VM, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fs.ErrClosed
	}
	if _, taken := h.vms[spec.CID]; taken {
		return nil, ErrExists
	}
	for _, other := range h.vms {
		r := other.look()
		for _, used := range r.addresses() {
			for name, n := range spec.Networks {
				if n.Address.Addr() == used {
					return nil, fmt.Errorf("network %s: VM %s has the address %v: %w", name, r.CID, used, ErrInUse)
				}
			}
		}
	}
	r := record{VMSpec: spec, CreatedAt: time.Now(), Disks: map[string]string{}}
	for _, disk := range spec.DiskCIDs {
		if !h.HasDisk(disk) {
			return nil, fmt.Errorf("disk %s: %w", disk, ErrNotFound)
		}
		if owner := h.owners[disk]; owner != "" {
			return nil, fmt.Errorf("disk %s is attached to VM %s: %w", disk, owner, ErrInUse)
		}
		device, err := r.freeDevice()
		if err != nil {
			return nil, err
		}
		r.Disks[disk] = device
	}
	v := newVM(r)
	h.vms[spec.CID] = v
	for disk := range r.Disks {
		h.owners[disk] = spec.CID
	}
	return v, nil
}

// build makes and starts the VM. Everything is recorded before it is made.
func (h *Host) build(ctx context.Context, v *VM) error {
	r := v.look()
	dir := h.vmDir(r.CID)
	keys, err := newKeyPair(r.addresses()[0], r.CreatedAt)
	if err != nil {
		return err
	}
	r = v.update(func(r *record) {
		r.Link = h.stack.Name + "v" + newID()[:8]
		r.Cgroups = h.cgroups.folders(h.stack.Name, r.CID)
		r.Keys = keys
		r.Endpoint = endpoint(r.addresses()[0], rand.Text(), keys)
	})
	if err := dir.create(); err != nil {
		return err
	}
	if err := dir.save(&r); err != nil {
		return err
	}
	if err := dir.saveSettings(&r); err != nil {
		return err
	}
	if r.MemoryMiB > 0 {
		if err := writeMeminfo(dir, r); err != nil {
			return err
		}
	}
	devices, err := h.attachAll(ctx, r)
	if err != nil {
		return err
	}
	return h.boot(ctx, v, r, devices)
}

func (h *Host) attachAll(ctx context.Context, r record) ([]guestNode, error) {
	var nodes []guestNode
	for disk, name := range r.Disks {
		device, err := attachLoop(ctx, h.diskFile(disk))
		if err != nil {
			return nil, fmt.Errorf("disk %s: %w", disk, err)
		}
		nodes = append(nodes, guestNode{name, device.Major, device.Minor})
	}
	return nodes, nil
}

// boot starts the VM's init, puts it where it belongs and lets it go on.
func (h *Host) boot(ctx context.Context, v *VM, r record, devices []guestNode) error {
	dir := h.vmDir(r.CID)
	child, err := startInit(h.config.InitCommand, dir.path(consoleFile))
	if err != nil {
		return err
	}
	defer child.close()
	go h.reap(v, child.command) // not waited for by Close: the VM outlives it
	if r, err = h.place(v, child); err != nil {
		return child.explain(err)
	}
	if stackIsGone(h.config.Dir) {
		return ErrNoStack
	}
	limit, cancel := context.WithTimeoutCause(ctx, startPatience, fmt.Errorf("its init did not start within %v", startPatience))
	defer cancel()
	if err := child.release(limit, h.bootConfig(r, devices)); err != nil {
		return err
	}
	r = v.update(func(r *record) { r.Ready = true })
	if err := dir.save(&r); err != nil {
		return err
	}
	if !v.Alive() {
		return fmt.Errorf("its init ended at once; see %s", dir.path(consoleFile))
	}
	return nil
}

// place records the VM's init, limits it and plugs it in.
func (h *Host) place(v *VM, child *initProcess) (record, error) {
	init, err := identify(child.command.Process.Pid)
	if err != nil {
		return record{}, err
	}
	r := v.update(func(r *record) { r.Init = init })
	if err := h.vmDir(r.CID).save(&r); err != nil {
		return r, err
	}
	if err := h.cgroups.create(r.Cgroups, init.PID, r.VMSpec); err != nil {
		return r, err
	}
	return r, plug(h.stack.Bridge, r.Link, init.PID, guestMAC(r), r.addresses())
}

// guestMAC follows from the address, so that neighbours need not learn a new
// one when the VM is recreated.
func guestMAC(r record) net.HardwareAddr {
	ip := r.addresses()[0].As4()
	return hardwareAddr(0xbb, binary.BigEndian.Uint32(ip[:]))
}

func (h *Host) stemcellRoot(cid string) string {
	return filepath.Join(h.config.Dir, "stemcells", cid, "root")
}

func newID() string {
	raw := make([]byte, 8)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}
