package client

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Reader reads the newest row every Pause, as an app that only reads does.
type Reader struct {
	clock   Clock
	connect Connect

	mu    sync.Mutex
	reads []time.Duration
}

// NewReader makes the reader of a run.
func NewReader(clock Clock, connect Connect) *Reader { return &Reader{clock: clock, connect: connect} }

// Run reads until ctx ends.
func (r *Reader) Run(ctx context.Context) {
	tick := time.NewTicker(Pause)
	defer tick.Stop()
	var conn *pgx.Conn
	defer func() { closeQuickly(conn) }()
	for ctx.Err() == nil {
		pause := Retry
		if r.read(ctx, &conn) == nil {
			r.mu.Lock()
			r.reads = append(r.reads, r.clock.Now())
			r.mu.Unlock()
			pause = Pause
		}
		tick.Reset(pause)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (r *Reader) read(ctx context.Context, conn **pgx.Conn) error {
	var newest *int64
	return ask(ctx, conn, r.connect, "SELECT max(id) FROM "+Table, &newest)
}

// ask reads one value, connecting first when there is no session.
func ask(ctx context.Context, conn **pgx.Conn, connect Connect, query string, value any) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	if *conn == nil {
		opened, err := connect(ctx)
		if err != nil {
			return err
		}
		*conn = opened
	}
	err := (*conn).QueryRow(ctx, query).Scan(value)
	if err != nil {
		closeQuickly(*conn)
		*conn = nil
	}
	return err
}

// Reads are the times of successful reads so far, in order.
func (r *Reader) Reads() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]time.Duration(nil), r.reads...)
}
