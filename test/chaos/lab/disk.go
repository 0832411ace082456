package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Fill takes all the room that is left on the disk a folder of the VM lies on.
// The VM may have been recreated when it is healed: the file is looked for by
// its path then.
func (v VM) Fill(folder string) error {
	file, err := v.Open(fillerPath(folder), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	var size int64
	for step := int64(1) << 30; step >= 4096; {
		err := unix.Fallocate(int(file.Fd()), 0, size, step)
		switch {
		case err == nil:
			size += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		default:
			return fmt.Errorf("fill the disk of VM %s: %w", v.CID, err)
		}
	}
	return nil
}

// Empty takes back what Fill took.
func (v VM) Empty(folder string) error {
	dir, err := v.Open(folder, unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.Unlinkat(int(dir.Fd()), filler, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("empty the disk of VM %s: %w", v.CID, err)
	}
	return nil
}

// Erase removes everything from a folder of the VM.
func (v VM) Erase(folder string) error {
	dir, err := v.Open(folder, unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
	if err != nil {
		return fmt.Errorf("erase %s of VM %s: %w", folder, v.CID, err)
	}
	defer root.Close()
	names, err := dir.Readdirnames(-1)
	for _, name := range names {
		err = errors.Join(err, root.RemoveAll(name))
	}
	if err != nil {
		return fmt.Errorf("erase %s of VM %s: %w", folder, v.CID, err)
	}
	return nil
}

const filler = "chaos-filler"

func fillerPath(folder string) string { return filepath.Join(folder, filler) }
