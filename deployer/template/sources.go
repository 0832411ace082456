package template

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// sources is a stack of file trees: a later one's file hides an earlier one's
// of the same path, and their directories are merged.
type sources []fs.FS

func (s sources) read(name string) ([]byte, error) {
	for _, tree := range slices.Backward(s) {
		content, err := fs.ReadFile(tree, name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return content, err
		}
	}
	return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// list returns the sorted names in a directory; none where there is none.
func (s sources) list(directory string) ([]string, error) {
	var names []string
	for _, tree := range s {
		entries, err := fs.ReadDir(tree, directory)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read directory %s: %w", directory, err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// resolve finds a path that is relative to a template's directory, without
// leaving the tree.
func resolve(directory, relative string) (string, error) {
	name := path.Join(directory, relative)
	if !fs.ValidPath(name) || path.IsAbs(relative) || strings.HasPrefix(name, "..") {
		return "", fmt.Errorf("%q is outside of the templates", relative)
	}
	return name, nil
}
