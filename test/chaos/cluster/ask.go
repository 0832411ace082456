package cluster

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
)

// sessions are left open between questions, one a node: a new one for each
// would cost the machine more than the servers under test.
type sessions struct {
	mu   sync.Mutex
	open map[Node]*pgx.Conn
}

func (s *sessions) take(node Node) *pgx.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := s.open[node]
	delete(s.open, node)
	return conn
}

func (s *sessions) leave(node Node, conn *pgx.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[Node]*pgx.Conn{}
	}
	s.open[node] = conn
}

// Close ends the sessions that questions left open.
func (c *Cluster) Close(ctx context.Context) {
	for _, node := range c.Nodes {
		if conn := c.sessions.take(node); conn != nil {
			_ = conn.Close(ctx) // nothing depends on its end
		}
	}
}

// answer is a node's.
type answer[T any] struct {
	value T
	err   error
}

// askAll asks all nodes for one value, at the same time.
func askAll[T any](ctx context.Context, c *Cluster, query string) []answer[T] {
	all := make([]answer[T], len(c.Nodes))
	var wait sync.WaitGroup
	for i, node := range c.Nodes {
		wait.Go(func() { all[i].value, all[i].err = ask[T](ctx, c, node, query) })
	}
	wait.Wait()
	return all
}

// ask asks a node's server for one value. A session that was left open may have
// ended meanwhile: then a new one is asked.
func ask[T any](ctx context.Context, c *Cluster, node Node, query string, args ...any) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, questionLimit)
	defer cancel()
	if conn := c.sessions.take(node); conn != nil {
		if value, err := askIn[T](ctx, c, node, conn, query, args); err == nil {
			return value, nil
		}
	}
	conn, err := c.connect(ctx, node)
	if err != nil {
		var none T
		return none, err
	}
	return askIn[T](ctx, c, node, conn, query, args)
}

// askIn asks in a session, and leaves it open unless that fails.
func askIn[T any](ctx context.Context, c *Cluster, node Node, conn *pgx.Conn, query string, args []any) (T, error) {
	var value T
	if err := conn.QueryRow(ctx, query, args...).Scan(&value); err != nil {
		_ = conn.Close(ctx) // what it was good for is over
		return value, err
	}
	c.sessions.leave(node, conn)
	return value, nil
}
