package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// ErrNotFound is returned, wrapped, when a row that was asked for by its key
// does not exist.
var ErrNotFound = errors.New("not found")

// DB is the director's memory. All methods may be called concurrently.
//
// Writes go through one connection, so that SQLite's single writer never
// answers "busy"; reads have connections of their own and see the last commit.
type DB struct {
	writer *sql.DB
	reader *sql.DB
}

// NameVersion names a release or a stemcell in one version.
type NameVersion struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Open opens the database file at path, creating it and its folder when
// absent, and brings its tables up to date. A file written by a newer
// version is refused.
func Open(ctx context.Context, path string) (*DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the database's folder: %w", err)
	}
	if err := restrictMode(path); err != nil {
		return nil, err
	}
	writer, err := sql.Open("sqlite", dsn(path, false))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	writer.SetMaxOpenConns(1)
	if err := migrate(ctx, writer); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), writer.Close())
	}
	reader, err := sql.Open("sqlite", dsn(path, true))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), writer.Close())
	}
	reader.SetMaxOpenConns(4)
	return &DB{writer: writer, reader: reader}, nil
}

// Close waits for running statements and closes the file.
func (d *DB) Close() error {
	return errors.Join(d.reader.Close(), d.writer.Close())
}

// restrictMode makes sure the file exists and only its owner can read it.
// SQLite gives its -wal and -shm files the mode of the main file.
func restrictMode(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("create the database file: %w", err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return fmt.Errorf("restrict the database file to its owner: %w", err)
	}
	return nil
}

func dsn(path string, readOnly bool) string {
	q := url.Values{}
	q.Add("_pragma", "busy_timeout(10000)")
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", "foreign_keys(1)")
	q.Add("_pragma", "secure_delete(1)") // deleted secrets leave the file
	if readOnly {
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Set("_txlock", "immediate")
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// update runs f in one write transaction.
func (d *DB) update(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := d.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// exec runs one statement that must touch a row, or any number when rows is
// false.
func (d *DB) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return d.writer.ExecContext(ctx, query, args...)
}

// execOne runs a statement that names one row by its key; ErrNotFound when
// there is no such row.
func (d *DB) execOne(ctx context.Context, query string, args ...any) error {
	res, err := d.writer.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrNotFound
	}
	return nil
}

// scanner is what *sql.Row and *sql.Rows have in common.
type scanner interface{ Scan(dest ...any) error }

// one reads the single row that query finds.
func one[T any](ctx context.Context, d *DB, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	v, err := scan(d.reader.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return v, ErrNotFound
	}
	return v, err
}

// all reads every row that query finds; no rows give an empty slice, not nil.
func all[T any](ctx context.Context, d *DB, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := d.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	list := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		list = append(list, v)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}
