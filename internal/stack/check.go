package stack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Check tells what stands against a start that can be seen before anything is
// made. The tarballs may be missing where an earlier start uploaded them.
func (c Config) Check() error {
	if os.Geteuid() != 0 {
		return errors.New("the stack makes namespaces, mounts and network links: run it as root")
	}
	_, err := os.Stat(c.Folder.settingsFile())
	first := errors.Is(err, fs.ErrNotExist)
	for _, a := range []struct{ flag, path, manifest, target string }{
		{"--stemcell", c.Stemcell, "stemcell.MF", "make stemcell"},
		{"--release", c.Release, "release.MF", "make release"},
	} {
		if a.path == "" {
			if first {
				return fmt.Errorf("%s: a new stack needs the tarball: `%s` builds it and prints its path", a.flag, a.target)
			}
			continue
		}
		if _, err := readIdentity(a.path, a.manifest); err != nil {
			return fmt.Errorf("%s: %w: `%s` builds one and prints its path", a.flag, err, a.target)
		}
	}
	return nil
}
