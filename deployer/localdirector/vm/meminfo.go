package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// meminfoEvery is how often VMs are told how much memory they use.
const meminfoEvery = 2 * time.Second

// memory of a VM in kB, as its cgroup counts it.
type memory struct{ total, used, file, shared, slab uint64 }

// meminfo is a VM's /proc/meminfo. The kernel's own speaks of the whole
// machine: a job that sizes itself by it would be killed. All numbers have one
// width, so that the file is replaced in place in a single write.
func (m memory) meminfo() string {
	free := m.total - min(m.total, m.used)
	var text strings.Builder
	for _, line := range []struct {
		name string
		kB   uint64
	}{
		{"MemTotal", m.total}, {"MemFree", free}, {"MemAvailable", min(m.total, free+m.file+m.slab)}, {"Buffers", 0},
		{"Cached", m.file + m.shared}, {"SwapCached", 0}, {"SwapTotal", 0}, {"SwapFree", 0},
		{"Shmem", m.shared}, {"Slab", m.slab}, {"SReclaimable", m.slab}, {"SUnreclaim", 0},
	} {
		fmt.Fprintf(&text, "%-14s %12d kB\n", line.name+":", line.kB)
	}
	return text.String()
}

// memoryOf reads a VM's memory cgroup. Where there is none, nothing counts as used.
func memoryOf(r record) memory {
	m := memory{total: uint64(r.MemoryMiB) << 10}
	folder, v1 := r.Cgroups["memory"]
	usage, file, shared, slab := "memory.usage_in_bytes", []string{"total_inactive_file", "total_active_file"}, "total_shmem", ""
	if !v1 {
		folder = r.Cgroups[""]
		usage, file, shared, slab = "memory.current", []string{"inactive_file", "active_file"}, "shmem", "slab_reclaimable"
	}
	if folder == "" {
		return m
	}
	raw, err := os.ReadFile(filepath.Join(folder, usage))
	if err != nil {
		return m
	}
	used, _ := strconv.ParseUint(strings.TrimSpace(string(raw)), 10, 64)
	m.used = used >> 10
	stat, err := os.ReadFile(filepath.Join(folder, "memory.stat"))
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(stat)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		bytes, _ := strconv.ParseUint(value, 10, 64)
		switch name {
		case file[0], file[1]:
			m.file += bytes >> 10
		case shared:
			m.shared = bytes >> 10
		case slab:
			m.slab = bytes >> 10
		}
	}
	return m
}

// writeMeminfo replaces the file's content where it is: the VM has it mounted.
func writeMeminfo(dir vmDir, r record) error {
	f, err := os.OpenFile(dir.path(meminfoFile), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("tell the VM its memory: %w", err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt([]byte(memoryOf(r).meminfo()), 0); err != nil {
		return fmt.Errorf("tell the VM its memory: %w", err)
	}
	return nil
}

// refreshMeminfo keeps the numbers of all VMs fresh until the Host is closed.
func (h *Host) refreshMeminfo() {
	tick := time.NewTicker(meminfoEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.running.Done():
			return
		case <-tick.C:
		}
		for _, v := range h.VMs() {
			r := v.look()
			if r.MemoryMiB == 0 || !v.Alive() {
				continue
			}
			if err := writeMeminfo(h.vmDir(r.CID), r); err != nil && v.Alive() {
				h.config.Log.WarnContext(h.running, "refresh meminfo", "vm", r.CID, "error", err)
			}
		}
	}
}
