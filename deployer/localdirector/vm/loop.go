package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// detachPatience is how long a dying VM may still hold a device.
const detachPatience = 10 * time.Second

// loopDevice is a block device backed by one of our disk files. What there is
// is read from the kernel, never from a record of ours.
type loopDevice struct {
	Path         string // on this machine
	Major, Minor uint32
}

// attachLoop makes a device of a file. A device that a dead VM left behind is
// detached first: two devices on one file would tear the file system.
func attachLoop(ctx context.Context, file string) (loopDevice, error) {
	if err := detachLoops(ctx, file); err != nil {
		return loopDevice{}, err
	}
	backing, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return loopDevice{}, fmt.Errorf("attach disk: %w", err)
	}
	defer func() { _ = backing.Close() }()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return loopDevice{}, fmt.Errorf("attach disk: %w (is the kernel's loop module missing?)", err)
	}
	defer func() { _ = control.Close() }()
	for ctx.Err() == nil {
		number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return loopDevice{}, fmt.Errorf("find a free loop device: %w", err)
		}
		device, err := configureLoop(fmt.Sprintf("/dev/loop%d", number), backing, file)
		if errors.Is(err, unix.EBUSY) {
			continue // somebody else was faster
		}
		return device, err
	}
	return loopDevice{}, context.Cause(ctx)
}

func configureLoop(path string, backing *os.File, file string) (loopDevice, error) {
	device, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return loopDevice{}, fmt.Errorf("open loop device: %w", err)
	}
	defer func() { _ = device.Close() }()
	config := unix.LoopConfig{Fd: uint32(backing.Fd())}
	copy(config.Info.File_name[:len(config.Info.File_name)-1], file)
	if err := unix.IoctlLoopConfigure(int(device.Fd()), &config); err != nil {
		return loopDevice{}, fmt.Errorf("configure %s: %w", path, err)
	}
	return statLoop(path)
}

func statLoop(path string) (loopDevice, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return loopDevice{}, fmt.Errorf("look at %s: %w", path, err)
	}
	return loopDevice{Path: path, Major: unix.Major(stat.Rdev), Minor: unix.Minor(stat.Rdev)}, nil
}

// loopDevices maps the attached devices of this machine to their backing files.
// The kernel marks files that were removed with a suffix.
func loopDevices() (map[string]string, error) {
	entries, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	devices := map[string]string{}
	for _, e := range entries {
		raw, err := os.ReadFile(e)
		if err != nil {
			continue // detached while we look
		}
		file := strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), " (deleted)")
		devices["/dev/"+strings.Split(e, "/")[3]] = file
	}
	return devices, nil
}

// detachLoops detaches all devices of a file and waits until they are.
func detachLoops(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, detachPatience, fmt.Errorf("the device is still in use after %v: %w", detachPatience, ErrInUse))
	defer cancel()
	pause := time.Millisecond
	for {
		devices, err := loopDevices()
		if err != nil {
			return err
		}
		attached := ""
		for device, backing := range devices {
			if backing != file {
				continue
			}
			attached = device
			if err := clearLoop(device); err != nil {
				return err
			}
		}
		if attached == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("detach %s: %w", attached, context.Cause(ctx))
		case <-time.After(pause):
			pause = min(2*pause, 50*time.Millisecond)
		}
	}
}

// clearLoop detaches a device that nobody has mounted. Opening it exclusively
// is what tells: the kernel would otherwise put the detaching off to the unmount.
func clearLoop(path string) error {
	device, err := os.OpenFile(path, os.O_RDWR|unix.O_EXCL, 0)
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENXIO) || errors.Is(err, os.ErrNotExist) {
		return nil // mounted still, or gone already: the caller looks again
	}
	if err != nil {
		return fmt.Errorf("detach %s: %w", path, err)
	}
	defer func() { _ = device.Close() }()
	if err := unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0); err != nil && !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("detach %s: %w", path, err)
	}
	return nil
}
