package postgresql

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/spi"
)

// An idle administrator's connection is kept this long: platforms bind and
// unbind in bursts.
const idleTime = 15 * time.Second

// adminDatabase is the one that the administrator's own work is done in.
const adminDatabase = "postgres"

// connections keeps at most one idle connection for each instance, address and
// database.
type connections struct {
	mu   sync.Mutex
	idle map[connectionKey]*idleConnection
}

type connectionKey struct {
	instance, address, database string
	admin                       [sha256.Size]byte // of the administrator's certificate
}

type idleConnection struct {
	conn  *pgx.Conn
	timer *time.Timer
}

func newConnections() *connections {
	return &connections{idle: map[connectionKey]*idleConnection{}}
}

func (c *connections) take(key connectionKey) *pgx.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := c.idle[key]
	if found == nil {
		return nil
	}
	found.timer.Stop()
	delete(c.idle, key)
	return found.conn
}

// keep takes a connection back, or closes it when one is there already.
func (c *connections) keep(key connectionKey, conn *pgx.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn.IsClosed() {
		return
	}
	if c.idle[key] != nil {
		go closeConnection(conn)
		return
	}
	c.idle[key] = &idleConnection{conn: conn, timer: time.AfterFunc(idleTime, func() {
		if conn := c.take(key); conn != nil {
			closeConnection(conn)
		}
	})}
}

func (c *connections) forget(instance string) {
	c.drop(func(key connectionKey) bool { return key.instance == instance })
}

func (c *connections) close() { c.drop(func(connectionKey) bool { return true }) }

func (c *connections) drop(which func(connectionKey) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, idle := range c.idle {
		if which(key) {
			idle.timer.Stop()
			delete(c.idle, key)
			closeConnection(idle.conn)
		}
	}
}

func closeConnection(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// A connection that cannot say goodbye is closed all the same.
	_ = conn.Close(ctx)
}

// onNode runs f on an administrator's connection to a database of one node. f
// may run a second time, on a fresh connection, when a kept one turned out to
// be dead: it must be repeatable.
func (s *Service) onNode(ctx context.Context, in spi.Instance, node spi.Node, database string, f func(context.Context, *pgx.Conn) error) error {
	return asFault(s.useNode(ctx, in, node, database, f))
}

func (s *Service) useNode(ctx context.Context, in spi.Instance, node spi.Node, database string, f func(context.Context, *pgx.Conn) error) error {
	key := connectionKey{instance: in.ID, address: node.Address, database: database, admin: sha256.Sum256([]byte(in.Secrets[secretAdmin].Reveal()))}
	if conn := s.connections.take(key); conn != nil {
		err := f(ctx, conn)
		if !conn.IsClosed() {
			s.connections.keep(key, conn)
			return err
		}
		if ctx.Err() != nil {
			return err
		}
	}
	conn, err := s.connect(ctx, in, key)
	if err != nil {
		return err
	}
	err = f(ctx, conn)
	s.connections.keep(key, conn)
	return err
}

func (s *Service) connect(ctx context.Context, in spi.Instance, key connectionKey) (*pgx.Conn, error) {
	admin, err := s.adminTLS(in)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig("sslmode=disable") // nothing from the environment's files; TLS is set below
	if err != nil {
		return nil, fmt.Errorf("prepare connection: %w", err)
	}
	config.Host, config.Port, config.User, config.Database, config.Password = key.address, uint16(s.config.Port), adminRole, key.database, ""
	config.TLSConfig, config.Fallbacks = admin, nil
	config.ConnectTimeout = s.config.ConnectTimeout
	config.DialFunc = (&net.Dialer{Timeout: s.config.ConnectTimeout}).DialContext
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // no prepared statements to go stale
	// A tenant owns its database and may set defaults there that would lock us
	// out of our own work: what a connection asks for itself wins over them.
	config.RuntimeParams = map[string]string{
		"role":                                "none",
		"default_transaction_read_only":       "off",
		"idle_in_transaction_session_timeout": "0",
		"application_name":                    "holdfast",
		"statement_timeout":                   strconv.FormatInt(s.config.StatementTimeout.Milliseconds(), 10),
		"lock_timeout":                        "5000",
		"search_path":                         "pg_catalog",
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", key.address, err)
	}
	return conn, nil
}
