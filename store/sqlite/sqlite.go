package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

// Store is a store.Store in one SQLite file.
type Store struct {
	write *sql.DB // one connection: SQLite has one writer at a time
	read  *sql.DB
	keys  *store.Keyring
	now   func() time.Time
}

var _ store.Store = (*Store)(nil)

// Options are what Open may be told beside the path and the keys.
type Options struct {
	Now func() time.Time // the clock of leases and timestamps; default time.Now
}

// Open opens the file, creates it if need be, and migrates its schema. It
// refuses keys that cannot open what the file holds.
func Open(ctx context.Context, path string, keys *store.Keyring, opts Options) (*Store, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if err := createPrivately(path); err != nil {
		return nil, err
	}
	s := &Store{keys: keys, now: opts.Now}
	var err error
	if s.write, err = openPool(path, 1, "_txlock=immediate"); err != nil {
		return nil, err
	}
	if s.read, err = openPool(path, 4, "_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), s.Close())
	}
	return s, nil
}

// createPrivately makes the file with a mode that keeps others from reading:
// SQLite gives its journal files the same mode.
func createPrivately(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the store's folder: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("create the store's file: %w", err)
	}
	return f.Close()
}

func openPool(path string, connections int, extra string) (*sql.DB, error) {
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + extra
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

func (s *Store) prepare(ctx context.Context) error {
	if err := migrate(ctx, s.write); err != nil {
		return err
	}
	if err := s.checkKeys(ctx); err != nil {
		return fmt.Errorf("the configured keys do not fit this store: %w", err)
	}
	return nil
}

// Close ends all connections.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// Ping reads from the file.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return explain("ping the store", s.read.QueryRowContext(ctx, `SELECT 1 FROM sqlite_schema LIMIT 1`).Scan(&one))
}

// tx runs f in a write transaction; an error rolls it back.
func (s *Store) tx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // no effect after Commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// explain gives an error its fault: those that the store made itself keep
// theirs, a busy file is Unavailable, and all else is Internal.
func explain(attempt string, err error) error {
	if err == nil {
		return nil
	}
	var made *fault.Error
	if errors.As(err, &made) {
		return err
	}
	wrapped := fmt.Errorf("%s: %w", attempt, err)
	var e *driver.Error
	if errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED) {
		return fault.Wrap(fault.Unavailable, wrapped, "the broker's store is busy")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(fault.Unavailable, wrapped, "the broker's store did not answer in time")
	}
	return wrapped
}

// violates tells whether err is a violated uniqueness.
func violates(err error) bool {
	var e *driver.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

func conflict(why error, format string, args ...any) error {
	return fault.Wrap(fault.Conflict, why, format, args...)
}

// Times are stored as microseconds since 1970 in UTC, the zero time as 0.

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
