package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// writer is an app: it resolves the alias before each connect and inserts a row
// every 20 ms. What was acknowledged it records.
type writer struct {
	lab  *lab
	to   func() *labNode // which node the app is told to write to
	stop context.CancelFunc
	done chan struct{}

	mu    sync.Mutex
	acked []ack
}

type ack struct {
	id   int64
	at   time.Time
	node string
}

// primary asks the catalog for the alias, as DNS does.
func (l *lab) primary() *labNode {
	found, _, err := l.consul.Client.Catalog().Service(deployment, "primary", nil)
	if err != nil || len(found) != 1 {
		return nil
	}
	for _, n := range l.nodes {
		if n.address == found[0].ServiceAddress {
			return n
		}
	}
	return nil
}

func (n *labNode) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=%s sslmode=disable connect_timeout=2", n.address, serverPort, database))
}

func (l *lab) newWriter() *writer { return l.newWriterTo(l.primary) }

func (l *lab) newWriterTo(where func() *labNode) *writer {
	l.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := &writer{lab: l, to: where, stop: stop, done: make(chan struct{})}
	conn, err := where().connect(ctx, "postgres")
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS written (id bigint PRIMARY KEY)"); err != nil {
		l.t.Fatal(err)
	}
	go w.write(ctx)
	l.t.Cleanup(w.end)
	return w
}

func (w *writer) end() {
	w.stop()
	<-w.done
}

func (w *writer) write(ctx context.Context) {
	defer close(w.done)
	var conn *pgx.Conn
	var node *labNode
	for id := time.Now().UnixNano(); ctx.Err() == nil; id++ {
		var err error
		if conn == nil {
			if node = w.to(); node != nil {
				conn, err = node.connect(ctx, "postgres")
			}
		}
		if conn != nil && err == nil {
			within, cancel := context.WithTimeout(ctx, 2*time.Second)
			_, err = conn.Exec(within, "INSERT INTO written VALUES ($1)", id)
			cancel()
		}
		if conn != nil && err == nil {
			w.note(id, node)
		}
		if err != nil && conn != nil {
			_ = conn.Close(context.Background())
			conn = nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	if conn != nil {
		_ = conn.Close(context.Background())
	}
}

func (w *writer) note(id int64, node *labNode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked = append(w.acked, ack{id, time.Now(), node.name})
}

// since waits until writes are acknowledged again after a moment, by another
// node when other is set, and returns the longest pause around it.
func (w *writer) since(moment time.Time, within time.Duration, other string) time.Duration {
	w.lab.t.Helper()
	var outage time.Duration
	w.lab.until(within, "writes after the fault", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		outage = 0
		settled := false
		for i := 1; i < len(w.acked); i++ {
			if w.acked[i].at.Before(moment) {
				continue
			}
			outage = max(outage, w.acked[i].at.Sub(w.acked[i-1].at))
			settled = w.acked[i].node != other && w.acked[i].at.Sub(moment) > 500*time.Millisecond
		}
		return settled
	})
	return outage
}

// lost returns how many acknowledged rows the present primary does not have.
func (w *writer) lost(t *testing.T) (lost, acked int) {
	t.Helper()
	w.end()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := w.lab.primary().connect(ctx, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT id FROM written")
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatal(err)
	}
	have := map[int64]bool{}
	for _, id := range ids {
		have[id] = true
	}
	for _, one := range w.acked {
		if !have[one.id] {
			lost++
		}
	}
	return lost, len(w.acked)
}
