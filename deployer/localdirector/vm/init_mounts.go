package vm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

// mountAll mounts below the VM's root. Missing mount points are made.
func mountAll(root string, mounts []mount) error {
	for _, m := range mounts {
		target := filepath.Join(root, m.target)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("%s: %w", m.target, err)
		}
	}
	return nil
}

// mountRoot lays the VM's own changes over the stemcell.
func mountRoot(c bootConfig) error {
	// First of all: nothing of what follows is for the machine's mounts.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, path := range []string{c.Stemcell, string(c.Dir)} {
		if strings.ContainsAny(path, ",:\\") {
			return fmt.Errorf("the path %q holds a character that overlay mounts cannot take", path)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", c.Stemcell, c.Dir.path(upperDir), c.Dir.path(workDir))
	root := c.Dir.path(rootDir)
	if err := unix.Mount("overlay", root, "overlay", 0, options); err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	return mountAll(root, []mount{
		{c.Dir.path(ephemeralDir), "/var/vcap/data", "", unix.MS_BIND, ""},
		{c.Dir.path(settingsDir), "/var/vcap/bosh/vm", "", unix.MS_BIND, ""},
		{"", "/var/vcap/bosh/vm", "", unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY, ""},
	})
}

// mountKernel mounts what the kernel provides. What would show or change the
// machine is covered or read-only; /proc/sys/net is the VM's own.
func mountKernel(c bootConfig) error {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	const readOnly = unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY
	root := c.Dir.path(rootDir)
	return mountAll(root, []mount{
		{"proc", "/proc", "proc", quiet, ""},
		{"sysfs", "/sys", "sysfs", quiet | unix.MS_RDONLY, ""},
		{"tmpfs", "/dev", "tmpfs", unix.MS_NOSUID, "mode=755,size=1m"},
		{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5"},
		{"tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"mqueue", "/dev/mqueue", "mqueue", quiet, ""},
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
		{root + "/proc/sys", "/proc/sys", "", unix.MS_BIND, ""},
		{"", "/proc/sys", "", readOnly, ""},
		{root + "/proc/sys/net", "/proc/sys/net", "", unix.MS_BIND, ""},
		{"", "/proc/sys/net", "", unix.MS_BIND | unix.MS_REMOUNT, ""},
	})
}

func makeDevices(c bootConfig) error {
	dev := filepath.Join(c.Dir.path(rootDir), "dev")
	for name, number := range map[string][2]uint32{
		"null": {1, 3}, "zero": {1, 5}, "full": {1, 7}, "random": {1, 8}, "urandom": {1, 9}, "tty": {5, 0},
	} {
		path := filepath.Join(dev, name)
		if err := unix.Mknod(path, unix.S_IFCHR, int(unix.Mkdev(number[0], number[1]))); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	for _, d := range c.Devices {
		if err := makeNode(filepath.Join(dev, d.Name), d.Major, d.Minor); err != nil {
			return fmt.Errorf("%s: %w", d.Name, err)
		}
	}
	for name, target := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return nil
}

// coverHost hides what of /proc shows or moves the machine, and shows the VM's
// memory for the machine's.
func coverHost(c bootConfig) error {
	root := c.Dir.path(rootDir)
	for _, hidden := range []string{"/proc/kcore", "/proc/sysrq-trigger", "/proc/keys", "/proc/timer_list", "/proc/kmsg"} {
		if _, err := os.Lstat(root + hidden); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := unix.Mount(root+"/dev/null", root+hidden, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", hidden, err)
		}
	}
	if !c.Meminfo {
		return nil
	}
	if err := unix.Mount(c.Dir.path(meminfoFile), root+"/proc/meminfo", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("/proc/meminfo: %w", err)
	}
	return unix.Mount("", root+"/proc/meminfo", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}

// mountCgroups shows the VM its own cgroup, where programs read their limits.
func mountCgroups(c bootConfig) error {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY
	root := c.Dir.path(rootDir)
	if c.CgroupV2 {
		return mountAll(root, []mount{{"cgroup2", "/sys/fs/cgroup", "cgroup2", flags, ""}})
	}
	if err := unix.Mount("tmpfs", root+"/sys/fs/cgroup", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=64k"); err != nil {
		return err
	}
	for _, controller := range c.Cgroups {
		if err := mountAll(root, []mount{{"cgroup", "/sys/fs/cgroup/" + controller, "cgroup", flags, controller}}); err != nil {
			return err
		}
	}
	return nil
}

// pivot makes the VM's root the only one there is.
func pivot(c bootConfig) error {
	root := c.Dir.path(rootDir)
	if err := unix.Chdir(root); err != nil {
		return err
	}
	// Stacked onto itself, the old root can be let go without a folder for it.
	if err := unix.PivotRoot(".", "."); err != nil {
		return err
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return unix.Chdir("/")
}
