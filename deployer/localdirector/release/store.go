package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Store is a folder of blobs, each named by the SHA-256 of its content.
// It may be used by several goroutines of one process.
type Store struct {
	dir string
	log *slog.Logger
}

const (
	blobsDir   = "blobs"
	stagingDir = "staging"
)

var blobName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// OpenStore opens or creates the store in dir and removes what an interrupted
// upload left in its staging area. A folder has one store at a time.
func OpenStore(dir string, log *slog.Logger) (*Store, error) {
	s := &Store{dir: dir, log: log}
	if err := os.RemoveAll(filepath.Join(dir, stagingDir)); err != nil {
		return nil, fmt.Errorf("clear staging area of the blob folder: %w", err)
	}
	for _, d := range []string{blobsDir, stagingDir} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("create blob folder: %w", err)
		}
	}
	return s, nil
}

// Put stores what r yields and returns its name.
func (s *Store) Put(ctx context.Context, r io.Reader) (blob string, err error) {
	dir, err := s.stage()
	if err != nil {
		return "", err
	}
	defer s.unstage(dir)
	path := filepath.Join(dir, "blob")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("store blob: %w", err)
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), &contextReader{ctx: ctx, r: r})
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("store blob: %w", err)
	}
	blob = hex.EncodeToString(sum.Sum(nil))
	return blob, s.keep(path, blob)
}

// Open opens a blob for reading. The error wraps fs.ErrNotExist when there is none.
func (s *Store) Open(blob string) (io.ReadCloser, error) {
	path, err := s.Path(blob)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	return f, nil
}

// Path returns where a blob lies, for those who must hand it on as a file.
// The error wraps fs.ErrNotExist when there is none.
func (s *Store) Path(blob string) (string, error) {
	if !blobName.MatchString(blob) {
		return "", fmt.Errorf("blob %q: not a name of a blob: %w", blob, fs.ErrNotExist)
	}
	path := s.blobPath(blob)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find blob: %w", err)
	}
	return path, nil
}

// Has says whether the store holds the blob.
func (s *Store) Has(blob string) bool {
	_, err := s.Path(blob)
	return err == nil
}

// Collect removes the blobs that inUse does not name and that were stored or
// stored again longer than minAge ago, and returns how many it removed.
// minAge protects what was stored but is not recorded anywhere yet.
func (s *Store) Collect(ctx context.Context, inUse map[string]bool, minAge time.Duration) (int, error) {
	removed := 0
	before := time.Now().Add(-minAge)
	err := filepath.WalkDir(filepath.Join(s.dir, blobsDir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || inUse[d.Name()] {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || info.ModTime().After(before) {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
		removed++
		return nil
	})
	if err != nil {
		return removed, fmt.Errorf("collect unused blobs: %w", err)
	}
	return removed, nil
}

func (s *Store) blobPath(blob string) string {
	return filepath.Join(s.dir, blobsDir, blob[:2], blob)
}

// keep moves a staged file of known content to its place. A blob that is there already is
// replaced by its equal: that makes it young again for Collect and mends it should it be damaged.
func (s *Store) keep(staged, blob string) error {
	if err := moveDurably(staged, s.blobPath(blob)); err != nil {
		return fmt.Errorf("store blob: %w", err)
	}
	return nil
}

func (s *Store) stage() (string, error) {
	dir, err := os.MkdirTemp(filepath.Join(s.dir, stagingDir), "")
	if err != nil {
		return "", fmt.Errorf("create staging folder: %w", err)
	}
	return dir, nil
}

func (s *Store) unstage(dir string) {
	if err := os.RemoveAll(dir); err != nil {
		s.log.Warn("staging folder not removed", "dir", dir, "error", err)
	}
}

// moveDurably renames a file after its content has reached the disk, and
// returns when the new name has, too.
func moveDurably(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	now := time.Now()
	if err := errors.Join(os.Chtimes(from, now, now), f.Sync(), f.Close()); err != nil {
		return err
	}
	dir := filepath.Dir(to)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
