package demo

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pace of the writer.
const (
	writePause   = 50 * time.Millisecond
	writeTimeout = 2 * time.Second // of a connect and of a write
)

// ack is a row that the server has acknowledged.
type ack struct {
	id      int64
	at      time.Time
	address string // of the server
	session int    // the writer's first is 1
}

// writer inserts rows, one after the other, as an app does: it keeps its session
// until a write fails, then connects anew.
type writer struct {
	connect  func(context.Context) (*pgx.Conn, error)
	sessions int
	end      context.CancelFunc
	done     chan struct{}

	mu    sync.Mutex
	acks  []ack
	fault error // of the last attempt that failed
}

func startWriter(ctx context.Context, connect func(context.Context) (*pgx.Conn, error)) *writer {
	ctx, end := context.WithCancel(ctx)
	w := &writer{connect: connect, end: end, done: make(chan struct{})}
	go w.run(ctx)
	return w
}

func (w *writer) run(ctx context.Context) {
	defer close(w.done)
	tick := time.NewTicker(writePause)
	defer tick.Stop()
	var conn *pgx.Conn
	defer func() { leave(conn) }()
	for id := int64(1); ctx.Err() == nil; id++ {
		a, err := w.write(ctx, &conn, id)
		w.mu.Lock()
		if err == nil {
			w.acks = append(w.acks, a)
		} else if ctx.Err() == nil {
			w.fault = err
		}
		w.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// write inserts one row. The end of the demo does not cut it short: whether it
// was acknowledged shall be known.
func (w *writer) write(ctx context.Context, conn **pgx.Conn, id int64) (a ack, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if *conn == nil {
		if *conn, err = w.connect(ctx); err != nil {
			*conn = nil
			return ack{}, err
		}
		w.sessions++
	}
	a = ack{id: id, session: w.sessions}
	if _, err := (*conn).Exec(ctx, "INSERT INTO rows (id) VALUES ($1)", id); err != nil {
		leave(*conn)
		*conn = nil
		return ack{}, err
	}
	a.at = time.Now()
	a.address, _, _ = net.SplitHostPort((*conn).PgConn().Conn().RemoteAddr().String())
	return a, nil
}

// leave ends a session whose server may be gone.
func leave(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = conn.Close(ctx) // what it was good for is over
}

// stop ends the writer after its present write. It may be repeated.
func (w *writer) stop() {
	w.end()
	<-w.done
}

// acked returns what was acknowledged so far, in order.
func (w *writer) acked() []ack {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acks[:len(w.acks):len(w.acks)]
}

// silent is how long nothing has been acknowledged.
func (w *writer) silent() time.Duration {
	acks := w.acked()
	if len(acks) == 0 {
		return 0
	}
	return time.Since(acks[len(acks)-1].at)
}

func (w *writer) lastFault() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fault == nil {
		return "a write waits for its answer"
	}
	return oneLine(w.fault)
}

// oneLine is the reason at the end of a fault.
func oneLine(err error) string {
	text := strings.TrimSpace(err.Error())
	for _, before := range []string{"\n", ": "} {
		text = text[strings.LastIndex(text, before)+1:]
	}
	return strings.TrimSpace(text)
}

// outage is how long nothing was acknowledged between a session's last row and
// the next session's first; false while there is no next.
func outage(acks []ack, session int) (lasted time.Duration, first ack, over bool) {
	var last time.Time
	for _, a := range acks {
		if a.session > session {
			return a.at.Sub(last), a, true
		}
		last = a.at
	}
	return 0, ack{}, false
}
