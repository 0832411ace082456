package release

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"
)

// Store is a folder of blobs, each named by the SHA-256 of its content.
// It may be used by several goroutines.
type Store struct {
	dir string
	log *slog.Logger
}

// OpenStore opens or creates the store in dir and removes what an interrupted
// upload left in its staging area.
func OpenStore(dir string, log *slog.Logger) (*Store, error) { return nil, errors.ErrUnsupported }

// Put stores what r yields and returns its name. A blob that is there already is kept.
func (s *Store) Put(ctx context.Context, r io.Reader) (blob string, err error) {
	return "", errors.ErrUnsupported
}

// Open opens a blob for reading. The error wraps fs.ErrNotExist when there is none.
func (s *Store) Open(blob string) (io.ReadCloser, error) { return nil, errors.ErrUnsupported }

// Path returns where a blob lies, for those who must hand it on as a file.
func (s *Store) Path(blob string) (string, error) { return "", errors.ErrUnsupported }

// Has says whether the store holds the blob.
func (s *Store) Has(blob string) bool { return false }

// Collect removes the blobs that inUse does not name and that were stored or
// stored again longer than minAge ago, and returns how many it removed.
// minAge protects what was stored but is not recorded anywhere yet.
func (s *Store) Collect(ctx context.Context, inUse map[string]bool, minAge time.Duration) (int, error) {
	return 0, errors.ErrUnsupported
}

// JobSource is what rendering needs of a job: its declaration, its monit file
// and its templates' sources by their path below templates/.
type JobSource struct {
	Job       Job
	Monit     []byte
	Templates map[string][]byte
}

// JobSource reads the job's archive from the store.
func (s *Store) JobSource(ctx context.Context, job Job) (*JobSource, error) {
	return nil, errors.ErrUnsupported
}
