package release

import (
	"context"
	"errors"
	"io"
	"log/slog"
)

// CompiledCache is a folder of compiled packages. Several directors may use
// one folder at once.
type CompiledCache struct {
	dir string
	log *slog.Logger
}

// CompiledPackage is an entry of the cache.
type CompiledPackage struct {
	Path   string
	Digest string // "sha256:…", as an apply spec wants it
	Size   int64
}

// OpenCompiledCache opens or creates the cache in dir.
func OpenCompiledCache(dir string, log *slog.Logger) (*CompiledCache, error) {
	return nil, errors.ErrUnsupported
}

// Get returns the package compiled under key (Release.CompiledKey). An entry
// whose content does not match its digest is removed and reported as absent.
func (c *CompiledCache) Get(ctx context.Context, key string) (CompiledPackage, bool, error) {
	return CompiledPackage{}, false, errors.ErrUnsupported
}

// Put stores a compiled package under key.
func (c *CompiledCache) Put(ctx context.Context, key string, r io.Reader) (CompiledPackage, error) {
	return CompiledPackage{}, errors.ErrUnsupported
}
