package client

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Received is how far a standby had received the log.
type Received struct {
	At       time.Duration // when it was asked: it may have had more by the answer
	Position int64
}

// Standby asks one standby, every Pause, how much of the log it has received and
// flushed. What an asynchronous primary acknowledged beyond it is the lag.
type Standby struct {
	clock   Clock
	connect Connect

	mu   sync.Mutex
	seen []Received
}

// NewStandby makes it.
func NewStandby(clock Clock, connect Connect) *Standby {
	return &Standby{clock: clock, connect: connect}
}

// Run asks until ctx ends.
func (s *Standby) Run(ctx context.Context) {
	tick := time.NewTicker(Pause)
	defer tick.Stop()
	var conn *pgx.Conn
	defer func() { closeQuickly(conn) }()
	for ctx.Err() == nil {
		asked := s.clock.Now()
		var position *int64
		// NULL: it does not receive.
		err := ask(ctx, &conn, s.connect, "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')::bigint", &position)
		if err == nil && position != nil {
			s.mu.Lock()
			s.seen = append(s.seen, Received{asked, *position})
			s.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// Seen is what it answered so far, in order.
func (s *Standby) Seen() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Received(nil), s.seen...)
}
