package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// registryDir holds the list of all stacks on this machine. It is gone after a
// boot, as are the links and routes it speaks of; stacks register again.
const registryDir = "/run/holdfast"

type registration struct {
	Stack
	Dir string `json:"dir"`
}

// registered says whether the stack's own folder still claims it.
func (r registration) claimed() bool {
	var stack Stack
	err := readJSON(filepath.Join(r.Dir, stackFile), &stack)
	return err == nil && stack.Name == r.Name
}

// withRegistry gives change the list of stacks under a lock that all processes
// of the machine share, and keeps what it returns. Stacks whose folder is gone
// are not in the list. The last stack to leave takes the registry with it.
func withRegistry(change func([]registration) ([]registration, error)) (err error) {
	lock, err := lockRegistry()
	if err != nil {
		return fmt.Errorf("lock the registry of stacks: %w", err)
	}
	defer func() { _ = lock.Close() }()
	file := filepath.Join(registryDir, "stacks.json")
	var all, current []registration
	if err := readJSON(file, &all); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the registry of stacks: %w", err)
	}
	for _, r := range all {
		if r.claimed() {
			current = append(current, r)
		}
	}
	current, err = change(current)
	if err != nil {
		return err
	}
	if len(current) > 0 {
		return writeJSON(file, current)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the registry of stacks: %w", err)
	}
	_ = os.Remove(lock.Name())
	_ = os.Remove(registryDir)
	return nil
}

// lockRegistry waits for the lock. The file may be removed while we wait; then
// the lock is worth nothing and we try again with the new one.
func lockRegistry() (*os.File, error) {
	path := filepath.Join(registryDir, "stacks.lock")
	for {
		if err := os.MkdirAll(registryDir, 0o700); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := flock(f, unix.LOCK_EX); err != nil {
			_ = f.Close()
			return nil, err
		}
		if sameFile(f, path) {
			return f, nil
		}
		_ = f.Close()
	}
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

func readJSON(path string, into any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file as a whole. It is readable by root only: records
// hold the agents' passwords.
func writeJSON(path string, value any) error {
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writeFile(path, raw)
}

func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
