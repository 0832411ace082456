package vm

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
)

// record is what is kept of a VM in its folder, so that another process finds
// and removes it.
type record struct {
	VMSpec
	CreatedAt time.Time
	Link      string
	Cgroups   map[string]string
	Endpoint  agent.Endpoint
	Keys      keyPair
	Init      process           // as soon as it has been started
	Ready     bool              // CreateVM was successful
	Disks     map[string]string // disk CID → name of the device in the VM
}

// vmDir is where all of a VM lies.
type vmDir string

func (h *Host) vmDir(cid string) vmDir { return vmDir(filepath.Join(h.config.Dir, "vms", cid)) }

func (d vmDir) path(name string) string { return filepath.Join(string(d), name) }

// The parts of a VM's folder.
const (
	upperDir     = "upper"     // what the VM changed of the stemcell
	workDir      = "work"      // overlayfs's own
	rootDir      = "root"      // where the VM's init mounts its root
	ephemeralDir = "ephemeral" // /var/vcap/data
	settingsDir  = "settings"  // what the agent reads
	consoleFile  = "console.log"
	meminfoFile  = "meminfo" // mounted over /proc/meminfo
	recordFile   = "vm.json"
)

func (d vmDir) create() error {
	if err := os.Mkdir(string(d), 0o700); err != nil {
		return fmt.Errorf("make the VM's folder: %w", err)
	}
	for _, name := range []string{upperDir, workDir, rootDir, ephemeralDir} {
		if err := os.Mkdir(d.path(name), 0o755); err != nil {
			return fmt.Errorf("make the VM's folder: %w", err)
		}
	}
	if err := os.Mkdir(d.path(settingsDir), 0o700); err != nil {
		return fmt.Errorf("make the VM's folder: %w", err)
	}
	return nil
}

func (d vmDir) save(r *record) error { return writeJSON(d.path(recordFile), r) }

func (d vmDir) saveSettings(r *record) error {
	return writeJSON(filepath.Join(d.path(settingsDir), "settings.json"), agentSettings(r))
}

// addresses of the VM, the one its agent is reached at first: that of the
// network that is the default gateway, else the first by name.
func (r *record) addresses() []netip.Addr {
	var all []netip.Addr
	for _, name := range r.networkNames() {
		all = append(all, r.Networks[name].Address.Addr())
	}
	return all
}

func (s VMSpec) networkNames() []string {
	names := make([]string, 0, len(s.Networks))
	for name := range s.Networks {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		x, y := slices.Contains(s.Networks[a].Default, "gateway"), slices.Contains(s.Networks[b].Default, "gateway")
		switch {
		case x && !y:
			return -1
		case y && !x:
			return 1
		case a < b:
			return -1
		default:
			return 1
		}
	})
	return names
}

// freeDevice chooses a name for a disk in the VM: sdb, sdc, …
func (r *record) freeDevice() (string, error) {
	for letter := 'b'; letter <= 'z'; letter++ {
		name := "sd" + string(letter)
		taken := false
		for _, used := range r.Disks {
			taken = taken || used == name
		}
		if !taken {
			return name, nil
		}
	}
	return "", fmt.Errorf("VM %s has no room for another disk", r.CID)
}
