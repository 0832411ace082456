package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// VM is one that runs now. A VM that is recreated is another one at the same
// address.
type VM struct {
	CID     string
	Address string // in its network: the stack has one
	Init    int    // its first process, as this machine numbers it
	link    string // this machine's end of its cable
	freezer string // the folder of its cgroup
	unified bool   // … is of cgroup v2
}

// ErrNoVM tells that no VM with that address runs.
var ErrNoVM = errors.New("no VM runs")

// Find looks in a local director's folder for the VM that runs at an address.
func Find(directorDir, address string) (VM, error) {
	vms, err := All(directorDir)
	if err != nil {
		return VM{}, err
	}
	for _, vm := range vms {
		if vm.Address == address {
			return vm, nil
		}
	}
	return VM{}, fmt.Errorf("%w at %s", ErrNoVM, address)
}

// All returns the VMs that run, by a local director's folder.
func All(directorDir string) ([]VM, error) {
	records, err := filepath.Glob(filepath.Join(directorDir, "host", "vms", "*", "vm.json"))
	if err != nil {
		return nil, err
	}
	var vms []VM
	for _, path := range records {
		vm, runs, err := read(path)
		if err != nil {
			return nil, err
		}
		if runs {
			vms = append(vms, vm)
		}
	}
	return vms, nil
}

// read tells whether a record is of a running VM.
func read(path string) (VM, bool, error) {
	var record struct {
		CID      string
		Networks map[string]struct{ Address netip.Prefix }
		Cgroups  map[string]string
		Link     string
		Ready    bool
		Init     struct {
			PID       int    `json:"pid"`
			StartTime uint64 `json:"start_time"`
		}
	}
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return VM{}, false, nil // deleted meanwhile
	}
	if err != nil {
		return VM{}, false, fmt.Errorf("read a VM's record: %w", err)
	}
	if err := json.Unmarshal(content, &record); err != nil {
		return VM{}, false, fmt.Errorf("understand %s: %w", path, err)
	}
	stat, err := readStat(record.Init.PID)
	if err != nil || stat.started != record.Init.StartTime || stat.state == 'Z' {
		return VM{}, false, nil
	}
	vm := VM{CID: record.CID, Init: record.Init.PID, link: record.Link, freezer: record.Cgroups["freezer"]}
	for _, network := range record.Networks {
		vm.Address = network.Address.Addr().String()
	}
	if v2, ok := record.Cgroups[""]; ok {
		vm.freezer, vm.unified = v2, true
	}
	return vm, true, nil
}

// Kill ends the whole VM at once, as a power cut does.
func (v VM) Kill() error {
	if err := unix.Kill(v.Init, unix.SIGKILL); err != nil {
		return fmt.Errorf("kill VM %s: %w", v.CID, err)
	}
	return nil
}

// Freeze stops everything in the VM in its tracks.
func (v VM) Freeze() error { return v.setFrozen(true) }

// Thaw lets a frozen VM go on.
func (v VM) Thaw() error { return v.setFrozen(false) }

func (v VM) setFrozen(frozen bool) error {
	file, value := "freezer.state", map[bool]string{true: "FROZEN", false: "THAWED"}[frozen]
	if v.unified {
		file, value = "cgroup.freeze", map[bool]string{true: "1", false: "0"}[frozen]
	}
	if v.freezer == "" {
		return fmt.Errorf("freeze VM %s: it has no freezer cgroup", v.CID)
	}
	if err := os.WriteFile(filepath.Join(v.freezer, file), []byte(value), 0); err != nil {
		return fmt.Errorf("freeze or thaw VM %s: %w", v.CID, err)
	}
	return nil
}

// Open opens a file of the VM as its own processes see it: links in the path
// are followed within the VM.
func (v VM) Open(path string, flags int, mode os.FileMode) (*os.File, error) {
	root, err := os.Open(fmt.Sprintf("/proc/%d/root", v.Init))
	if err != nil {
		return nil, fmt.Errorf("open the root of VM %s: %w", v.CID, err)
	}
	defer root.Close()
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT}
	if flags&os.O_CREATE != 0 {
		how.Mode = uint64(mode.Perm())
	}
	fd, err := unix.Openat2(int(root.Fd()), strings.TrimPrefix(path, "/"), &how)
	if err != nil {
		return nil, fmt.Errorf("open %s in VM %s: %w", path, v.CID, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}
