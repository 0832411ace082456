package vm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// goingFile is the stack's record while Destroy is at it.
const goingFile = "stack.going.json"

// destroyPatience bounds Destroy when ctx does not.
const destroyPatience = time.Minute

// Destroy removes every trace of the stack recorded in dir: processes, cgroups,
// links, routes, loop devices, the registration and all state below dir. It
// needs no open Host and works after a crash; a Host that is open creates no
// VMs any more (ErrNoStack). Repeating it, also where nothing is, is harmless.
func Destroy(ctx context.Context, dir string, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, destroyPatience)
	defer cancel()
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("destroy the stack: %w", err)
	}
	stack, found, err := retire(dir)
	if err != nil {
		return fmt.Errorf("destroy the stack in %s: %w", dir, err)
	}
	if !found {
		return nil
	}
	log.InfoContext(ctx, "destroy stack", "stack", stack.Name, "subnet", stack.Subnet)
	if err := destroy(ctx, dir, stack, log); err != nil {
		return fmt.Errorf("destroy the stack in %s: %w", dir, err)
	}
	return nil
}

// resumeDestroy finishes what a Destroy that was killed left: its stack is not
// to come back.
func resumeDestroy(ctx context.Context, config Config) error {
	if _, err := os.Stat(filepath.Join(config.Dir, goingFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return Destroy(ctx, config.Dir, config.Log)
}

// retire moves the record aside: an open Host sees that and makes nothing new.
func retire(dir string) (stack Stack, found bool, err error) {
	going := filepath.Join(dir, goingFile)
	err = os.Rename(filepath.Join(dir, stackFile), going)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Stack{}, false, err
	}
	err = readJSON(going, &stack)
	if errors.Is(err, fs.ErrNotExist) {
		return Stack{}, false, nil
	}
	return stack, true, err
}

func destroy(ctx context.Context, dir string, stack Stack, log *slog.Logger) error {
	if err := destroyVMs(ctx, dir, stack, log); err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if err := removeCgroups(ctx, findCgroups(string(mounts)).folders(stack.Name)); err != nil {
		return err
	}
	if err := detachAllLoops(ctx, filepath.Join(dir, "disks")); err != nil {
		return err
	}
	if err := removeNetwork(stack); err != nil {
		return err
	}
	for _, name := range []string{"vms", "disks", "stemcells", "lock"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := unregister(dir, stack); err != nil {
		return err
	}
	// The record goes last: until now all could be repeated.
	if err := os.Remove(filepath.Join(dir, goingFile)); err != nil {
		return err
	}
	_ = os.Remove(dir) // unless others keep something in it
	return nil
}

func destroyVMs(ctx context.Context, dir string, stack Stack, log *slog.Logger) error {
	entries, err := os.ReadDir(filepath.Join(dir, "vms"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var faults []error
	for _, e := range entries {
		folder := vmDir(filepath.Join(dir, "vms", e.Name()))
		var r record
		if err := readJSON(folder.path(recordFile), &r); err != nil && !errors.Is(err, fs.ErrNotExist) {
			// Its cgroup and link are found by the stack's name below.
			log.WarnContext(ctx, "vm record is unreadable", "vm", e.Name(), "error", err)
		}
		log.InfoContext(ctx, "destroy vm", "vm", e.Name())
		if err := demolish(ctx, stack, folder, r, nil); err != nil {
			faults = append(faults, fmt.Errorf("VM %s: %w", e.Name(), err))
		}
	}
	return errors.Join(faults...)
}

func detachAllLoops(ctx context.Context, disks string) error {
	devices, err := loopDevices()
	if err != nil {
		return err
	}
	for _, file := range devices {
		if strings.HasPrefix(file, disks+"/") {
			if err := detachLoops(ctx, file); err != nil {
				return err
			}
		}
	}
	return nil
}
