package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// CompiledCache is a folder of compiled packages. Several directors may use
// one folder at once: an entry is one file, which appears complete or not at
// all, and says in its name what its content must be.
type CompiledCache struct {
	dir string
	log *slog.Logger

	mu sync.Mutex // guards verified
	// verified holds the files whose content was compared with their digest, by
	// path: a file that has not been written since is not read again.
	verified map[string]os.FileInfo
}

const (
	newPrefix = ".new-"
	// What was begun and not ended for so long has nobody who will end it.
	abandonedAfter = time.Hour
	// An entry that nobody asks for is removed after unusedAfter. Its file's time
	// says when it was last asked for, give or take markUseEvery.
	unusedAfter  = 30 * 24 * time.Hour
	markUseEvery = 24 * time.Hour
)

// CompiledPackage is an entry of the cache.
type CompiledPackage struct {
	Path   string
	Digest string // "sha256:…", as an apply spec wants it
	Size   int64
}

// OpenCompiledCache opens or creates the cache in dir.
func OpenCompiledCache(dir string, log *slog.Logger) (*CompiledCache, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create folder of compiled packages: %w", err)
	}
	c := &CompiledCache{dir: dir, log: log, verified: map[string]os.FileInfo{}}
	return c, c.sweep()
}

// sweep removes what a director that died in Put left behind, and what has not
// been used for long.
func (c *CompiledCache) sweep() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("sweep folder of compiled packages: %w", err)
	}
	for _, e := range entries {
		keep := unusedAfter
		if strings.HasPrefix(e.Name(), newPrefix) {
			keep = abandonedAfter
		} else if !strings.HasSuffix(e.Name(), ".tgz") {
			continue
		}
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) > keep {
			err = os.Remove(filepath.Join(c.dir, e.Name()))
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("sweep folder of compiled packages: %w", err)
		}
	}
	return nil
}

// Get returns the package compiled under key (Release.CompiledKey). An entry
// whose content does not match its digest is removed and reported as absent.
func (c *CompiledCache) Get(ctx context.Context, key string) (CompiledPackage, bool, error) {
	if !blobName.MatchString(key) {
		return CompiledPackage{}, false, fmt.Errorf("look up compiled package: %q is not a key", key)
	}
	// More than one: two directors compiled the package, and not to the same bytes. Either will do.
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return CompiledPackage{}, false, fmt.Errorf("look up compiled package: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), key+"-") {
			continue
		}
		p, err := c.check(ctx, filepath.Join(c.dir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return CompiledPackage{}, false, fmt.Errorf("look up compiled package: %w", err)
		}
		if p.Path != "" {
			return p, true, nil
		}
	}
	return CompiledPackage{}, false, nil
}

// check reads an entry to its end, unless it did before. A damaged one is removed
// and has no path.
func (c *CompiledCache) check(ctx context.Context, path string) (CompiledPackage, error) {
	want := strings.TrimSuffix(path[strings.LastIndexByte(path, '-')+1:], ".tgz")
	info, err := os.Stat(path)
	if err != nil {
		return CompiledPackage{}, err
	}
	if now := time.Now(); now.Sub(info.ModTime()) > markUseEvery {
		if err := os.Chtimes(path, now, now); err != nil {
			return CompiledPackage{}, err
		}
		if info, err = os.Stat(path); err != nil {
			return CompiledPackage{}, err
		}
	}
	found := CompiledPackage{Path: path, Digest: "sha256:" + want, Size: info.Size()}
	c.mu.Lock()
	before := c.verified[path]
	c.mu.Unlock()
	if before != nil && os.SameFile(before, info) && before.Size() == info.Size() && before.ModTime().Equal(info.ModTime()) {
		return found, nil
	}
	got, err := sha256Of(ctx, path)
	if err != nil {
		return CompiledPackage{}, err
	}
	if got != want {
		c.log.Warn("damaged compiled package dropped", "path", path)
		return CompiledPackage{}, os.Remove(path)
	}
	c.mu.Lock()
	c.verified[path] = info
	c.mu.Unlock()
	return found, nil
}

// Put stores a compiled package under key.
func (c *CompiledCache) Put(ctx context.Context, key string, r io.Reader) (CompiledPackage, error) {
	if !blobName.MatchString(key) {
		return CompiledPackage{}, fmt.Errorf("store compiled package: %q is not a key", key)
	}
	f, err := os.CreateTemp(c.dir, newPrefix+"*")
	if err != nil {
		return CompiledPackage{}, fmt.Errorf("store compiled package: %w", err)
	}
	defer os.Remove(f.Name())
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, sum), &contextReader{ctx: ctx, r: r})
	if err = errors.Join(err, f.Close()); err != nil {
		return CompiledPackage{}, fmt.Errorf("store compiled package: %w", err)
	}
	digest := hex.EncodeToString(sum.Sum(nil))
	path := filepath.Join(c.dir, key+"-"+digest+".tgz")
	if err := moveDurably(f.Name(), path); err != nil {
		return CompiledPackage{}, fmt.Errorf("store compiled package: %w", err)
	}
	return CompiledPackage{Path: path, Digest: "sha256:" + digest, Size: size}, nil
}
