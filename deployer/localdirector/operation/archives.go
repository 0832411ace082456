package operation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// archives keeps the rendered templates that instances were last given, so
// that an instance can come back without its manifest being rendered again.
// They hold secrets: only the owner may read them.
type archives struct{ dir string }

func openArchives(dir string) (*archives, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the folder of rendered templates: %w", err)
	}
	return &archives{dir: dir}, nil
}

// path is where an instance's archive with that digest ("sha256:…") lies.
func (a *archives) path(instanceID, digest string) string {
	return filepath.Join(a.dir, instanceID+"_"+strings.ReplaceAll(digest, ":", "-")+".tgz")
}

// put stores an archive beside the instance's earlier ones; it is whole or not
// there.
func (a *archives) put(instanceID, digest string, content []byte) error {
	to := a.path(instanceID, digest)
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	f, err := os.CreateTemp(a.dir, ".new-*")
	if err != nil {
		return fmt.Errorf("store rendered templates: %w", err)
	}
	_, writeErr := f.Write(content)
	if err := errors.Join(writeErr, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("store rendered templates: %w", errors.Join(err, os.Remove(f.Name())))
	}
	if err := os.Rename(f.Name(), to); err != nil {
		return fmt.Errorf("store rendered templates: %w", err)
	}
	return nil
}

// sweep removes every archive for which keep does not answer true.
func (a *archives) sweep(keep func(instanceID, path string) bool) error {
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return fmt.Errorf("list rendered templates: %w", err)
	}
	for _, e := range entries {
		id, _, _ := strings.Cut(e.Name(), "_")
		path := filepath.Join(a.dir, e.Name())
		if keep(id, path) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old rendered templates: %w", err)
		}
	}
	return nil
}

// keepOnly removes the instance's archives but the one with that digest; with
// the digest "" all of them.
func (a *archives) keepOnly(instanceID, digest string) error {
	current := a.path(instanceID, digest)
	return a.sweep(func(id, path string) bool { return id != instanceID || (digest != "" && path == current) })
}
