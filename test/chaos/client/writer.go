package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pace of all clients.
const (
	Pause   = 50 * time.Millisecond
	Retry   = 100 * time.Millisecond // between attempts, when the last one failed
	Timeout = 2 * time.Second        // of a connect, of a write and of a read
)

// Table is what the writers write to.
const Table = "chaos_rows"

// Prepare makes the table, anew for each run.
func Prepare(ctx context.Context, conn *pgx.Conn) error {
	for _, statement := range []string{
		"DROP TABLE IF EXISTS " + Table,
		"CREATE TABLE " + Table + " (id bigint PRIMARY KEY, writer text NOT NULL)",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// Ack is one acknowledged row.
type Ack struct {
	ID       int64
	Sent, At time.Duration // when the write was sent and when its acknowledgement was there
	Node     string        // the address of the server that acknowledged
	Timeline string        // it was on, 8 hex digits: each promotion takes a greater one
	Position int64         // of the log when the row was in it, its commit record not yet
}

// Failure is an attempt that was not acknowledged. Its row may exist.
type Failure struct {
	Began, At time.Duration
	Err       string
}

// Connect opens a session.
type Connect func(ctx context.Context) (*pgx.Conn, error)

// Writer inserts a row every Pause. It keeps its session until a write fails,
// then connects anew.
type Writer struct {
	Name    string
	number  int64 // of the writer: the upper bits of its rows' ids
	clock   Clock
	connect Connect

	mu       sync.Mutex
	acks     []Ack
	failures []Failure
}

// NewWriter makes the number-th writer of a run.
func NewWriter(name string, number int, clock Clock, connect Connect) *Writer {
	return &Writer{Name: name, number: int64(number), clock: clock, connect: connect}
}

// Run writes until ctx ends.
func (w *Writer) Run(ctx context.Context) {
	tick := time.NewTicker(Pause)
	defer tick.Stop()
	var conn *pgx.Conn
	defer func() { closeQuickly(conn) }()
	for id := w.number << 40; ctx.Err() == nil; id++ {
		began := w.clock.Now()
		ack, err := w.write(ctx, &conn, id)
		pause := Pause
		switch {
		case err == nil:
			w.note(func() { w.acks = append(w.acks, ack) })
		case ctx.Err() == nil:
			w.note(func() { w.failures = append(w.failures, Failure{began, w.clock.Now(), err.Error()}) })
			pause = Retry
		}
		tick.Reset(pause)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (w *Writer) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// write inserts one row, connecting first when there is no session.
func (w *Writer) write(ctx context.Context, conn **pgx.Conn, id int64) (Ack, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	if *conn == nil {
		opened, err := w.connect(ctx)
		if err != nil {
			return Ack{}, err
		}
		*conn = opened
		// The write has a time of its own.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), Timeout)
		defer cancel()
	}
	ack := Ack{ID: id, Sent: w.clock.Now()}
	err := (*conn).QueryRow(ctx, "INSERT INTO "+Table+" (id, writer) VALUES ($1, $2) "+
		"RETURNING host(inet_server_addr()), left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint", id, w.Name).
		Scan(&ack.Node, &ack.Timeline, &ack.Position)
	if err != nil {
		closeQuickly(*conn)
		*conn = nil
		return Ack{}, fmt.Errorf("write: %w", err)
	}
	ack.At = w.clock.Now()
	return ack, nil
}

// Acks returns what was acknowledged so far, in order.
func (w *Writer) Acks() []Ack {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Ack(nil), w.acks...)
}

// Failures returns the attempts that failed so far, in order.
func (w *Writer) Failures() []Failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Failure(nil), w.failures...)
}

// closeQuickly ends a session of which the server may be gone.
func closeQuickly(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_ = conn.Close(ctx) // what it was good for is over
}
