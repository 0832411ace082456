package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
)

// KillVM ends the VM at an address as a power cut does: all its processes are
// gone at once, and the director finds it dead.
func (f Folder) KillVM(address string) error {
	records, err := filepath.Glob(filepath.Join(f.DirectorDir(), "host", "vms", "*", "vm.json"))
	if err != nil {
		return fmt.Errorf("list VMs: %w", err)
	}
	for _, path := range records {
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		// What is of interest of the local director's own record.
		var record struct {
			Networks map[string]struct{ Address netip.Prefix }
			Init     Process
		}
		if err == nil {
			err = json.Unmarshal(content, &record)
		}
		if err != nil {
			return fmt.Errorf("read the record of a VM: %w", err)
		}
		for _, network := range record.Networks {
			if network.Address.Addr().String() != address || !record.Init.Alive() {
				continue
			}
			if err := syscall.Kill(record.Init.PID, syscall.SIGKILL); err != nil {
				return fmt.Errorf("kill the VM at %s: %w", address, err)
			}
			return nil
		}
	}
	return fmt.Errorf("no VM runs at %s", address)
}
