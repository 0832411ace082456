package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuPeriod is the scheduler's accounting period in µs; pidsMax keeps a
// runaway job from using up the machine's process numbers.
const (
	cpuPeriod = 100_000
	pidsMax   = 16384
)

// controllers that a VM is put under. Freezing is for tests that stop a VM in its tracks.
var controllers = []string{"memory", "cpu", "pids", "freezer"}

// cgroups knows where this machine's controllers are mounted: all at one place
// (v2), or each at its own (v1).
type cgroups struct {
	unified string            // the v2 hierarchy that has the controllers, or ""
	mounts  map[string]string // v1: by controller
}

// findCgroups reads the mounts of this process.
func findCgroups(mountinfo string) cgroups {
	found := cgroups{mounts: map[string]string{}}
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(line, " - ")
		place, kind := strings.Fields(left), strings.Fields(right)
		if !ok || len(place) < 5 || len(kind) < 3 {
			continue
		}
		switch kind[0] {
		case "cgroup2":
			raw, err := os.ReadFile(filepath.Join(place[4], "cgroup.controllers"))
			if has := strings.Fields(string(raw)); err == nil && slices.Contains(has, "memory") && found.unified == "" {
				found.unified = place[4]
			}
		case "cgroup":
			for option := range strings.SplitSeq(kind[2], ",") {
				if slices.Contains(controllers, option) && found.mounts[option] == "" {
					found.mounts[option] = place[4]
				}
			}
		}
	}
	return found
}

// folders of a VM's or the stack's cgroup, by controller; v2 has one, called "".
func (c cgroups) folders(parts ...string) map[string]string {
	path := filepath.Join(parts...)
	if c.unified != "" {
		return map[string]string{"": filepath.Join(c.unified, path)}
	}
	all := make(map[string]string, len(c.mounts))
	for controller, mount := range c.mounts {
		all[controller] = filepath.Join(mount, path)
	}
	return all
}

// prepare makes the stack's cgroups and says what can be limited in them.
func (c cgroups) prepare(stack string) Limits {
	var missing []string
	folders := c.folders(stack)
	usable := func(controller, v1File, v2File string) bool {
		folder, ok, file := folders[controller], folders[controller] != "", v1File
		if c.unified != "" {
			folder, ok, file = folders[""], true, v2File
		}
		if !ok {
			missing = append(missing, controller+" (this kernel has no such cgroup controller)")
			return false
		}
		if err := c.makeStack(folder); err != nil {
			missing = append(missing, fmt.Sprintf("%s (%v)", controller, err))
			return false
		}
		if !c.tryFile(folder, file) {
			missing = append(missing, fmt.Sprintf("%s (its cgroup controller has no %s)", controller, file))
			return false
		}
		return true
	}
	limits := Limits{
		Memory: usable("memory", "memory.limit_in_bytes", "memory.max"),
		CPU:    usable("cpu", "cpu.cfs_quota_us", "cpu.max"),
	}
	for _, folder := range folders {
		_ = c.makeStack(folder) // memory and CPU have been reported; the rest is a convenience
	}
	missing = append(missing, "the size of the ephemeral disk, which is a folder of this machine's file system")
	limits.NotEnforced = "VMs on this machine are not held to: " + strings.Join(missing, ", ")
	return limits
}

// makeStack makes the stack's cgroup; in v2 controllers are handed down by hand.
func (c cgroups) makeStack(folder string) error {
	if c.unified != "" {
		if err := handDown(c.unified); err != nil {
			return err
		}
	}
	if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if c.unified != "" {
		return handDown(folder)
	}
	return nil
}

// tryFile looks for a control file in a cgroup below the stack's.
func (c cgroups) tryFile(folder, file string) bool {
	probe := filepath.Join(folder, "probe")
	if err := os.Mkdir(probe, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return false
	}
	_, err := os.Stat(filepath.Join(probe, file))
	_ = os.Remove(probe)
	return err == nil
}

// handDown lets a v2 cgroup's children use the controllers. What is on is left alone.
func handDown(folder string) error {
	control := filepath.Join(folder, "cgroup.subtree_control")
	raw, err := os.ReadFile(control)
	if err != nil {
		return err
	}
	for _, controller := range []string{"memory", "cpu", "pids"} {
		if slices.Contains(strings.Fields(string(raw)), controller) {
			continue
		}
		if err := os.WriteFile(control, []byte("+"+controller), 0); err != nil {
			return fmt.Errorf("hand down %s in %s: %w", controller, folder, err)
		}
	}
	return nil
}

// create makes a VM's cgroup with its limits and puts its init in.
func (c cgroups) create(folders map[string]string, pid int, spec VMSpec) error {
	for controller, folder := range folders {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		for _, s := range c.settings(controller, folder, spec) {
			if err := os.WriteFile(filepath.Join(folder, s.file), []byte(s.value), 0); err != nil {
				return fmt.Errorf("limit %s: %w", s.file, err)
			}
		}
		if err := os.WriteFile(filepath.Join(folder, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return fmt.Errorf("put process %d into its cgroup: %w", pid, err)
		}
	}
	return nil
}

type setting struct{ file, value string }

// settings returns those control files to write that exist.
func (c cgroups) settings(controller, folder string, spec VMSpec) []setting {
	memory := strconv.FormatInt(int64(spec.MemoryMiB)<<20, 10)
	quota := strconv.Itoa(int(math.Max(1000, math.Round(spec.CPUs*cpuPeriod))))
	var wanted []setting
	if c.unified != "" || controller == "pids" {
		wanted = append(wanted, setting{"pids.max", strconv.Itoa(pidsMax)})
	}
	if spec.MemoryMiB > 0 {
		// Memory before memory and swap, or the kernel finds the second below the first.
		wanted = append(wanted, setting{"memory.limit_in_bytes", memory}, setting{"memory.memsw.limit_in_bytes", memory},
			setting{"memory.max", memory}, setting{"memory.swap.max", "0"})
	}
	if spec.CPUs > 0 {
		wanted = append(wanted, setting{"cpu.cfs_period_us", strconv.Itoa(cpuPeriod)}, setting{"cpu.cfs_quota_us", quota},
			setting{"cpu.max", quota + " " + strconv.Itoa(cpuPeriod)})
	}
	return slices.DeleteFunc(wanted, func(s setting) bool {
		_, err := os.Stat(filepath.Join(folder, s.file))
		return err != nil
	})
}

// removeCgroups ends whatever is in the cgroups and removes them, children first.
func removeCgroups(ctx context.Context, folders map[string]string) error {
	for _, folder := range folders {
		if err := removeCgroup(ctx, folder); err != nil {
			return err
		}
	}
	return nil
}

func removeCgroup(ctx context.Context, folder string) error {
	pause := 2 * time.Millisecond
	for {
		thaw(folder)
		killAll(folder)
		err := removeTree(folder)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove cgroup: %w", err)
		case <-time.After(pause):
			pause = min(2*pause, 100*time.Millisecond)
		}
	}
}

func thaw(folder string) {
	for file, value := range map[string]string{"freezer.state": "THAWED", "cgroup.freeze": "0"} {
		if f, err := os.OpenFile(filepath.Join(folder, file), os.O_WRONLY, 0); err == nil {
			_, _ = f.WriteString(value)
			_ = f.Close()
		}
	}
}

// killAll ends what is left in a cgroup of ours: processes that somebody moved
// or started there beside a VM's own.
func killAll(folder string) {
	_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return nil
		}
		raw, _ := os.ReadFile(path)
		for pid := range strings.FieldsSeq(string(raw)) {
			if n, err := strconv.Atoi(pid); err == nil && n > 1 && n != os.Getpid() {
				_ = unix.Kill(n, unix.SIGKILL)
			}
		}
		return nil
	})
}

func removeTree(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(folder, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return unix.Rmdir(folder)
}
