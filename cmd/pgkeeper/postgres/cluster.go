package postgres

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/guard"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
)

// Cluster is the node's server and its data. Of the methods that change
// something only one may run at a time; Observe and Inspect may run beside them.
type Cluster struct {
	settings   *settings.Settings
	guard      guard.Client
	credential *syscall.Credential
	log        *slog.Logger

	turn chan struct{} // held by who uses conn
	conn *pgx.Conn     // kept, since a new one costs a loaded machine more than all that is asked on it

	mu      sync.Mutex // guards what follows
	pending []decide.Node
	unsure  bool // pending, not what the setting says, is what all processes have
}

// New returns the cluster that the settings describe.
func New(s *settings.Settings, log *slog.Logger) (*Cluster, error) {
	credential, err := s.Credential()
	if err != nil {
		return nil, err
	}
	return &Cluster{settings: s, guard: guard.Client{Socket: s.Guard.Socket}, credential: credential, log: log, turn: make(chan struct{}, 1)}, nil
}

func (c *Cluster) data() string           { return c.settings.PostgreSQL.Data }
func (c *Cluster) in(path string) string  { return filepath.Join(c.data(), path) }
func (c *Cluster) bin(name string) string { return filepath.Join(c.settings.PostgreSQL.Bin, name) }

// program prepares one of PostgreSQL's programs, to be run as its user.
func (c *Cluster) program(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.bin(name), args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PGCONNECT_TIMEOUT=5")
	// A session of its own, so that no half-done program outlives its ctx.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.credential}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// run runs a program and returns its output; an error ends with what it said last.
func (c *Cluster) run(ctx context.Context, name string, args ...string) (string, error) {
	var out, errors bytes.Buffer
	cmd := c.program(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errors
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(errors.String()), "\n")
		return out.String(), fmt.Errorf("%s: %w: %s", name, err, lines[len(lines)-1])
	}
	return out.String(), nil
}

// connect logs in to the local server as its bootstrap superuser.
func (c *Cluster) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres sslmode=disable",
		c.settings.PostgreSQL.SocketDirectory, c.settings.PostgreSQL.Port))
	if err != nil {
		return nil, fmt.Errorf("prepare the local login: %w", err)
	}
	// What an owner of a database or role set as defaults must not count here,
	// and no statement of the keeper waits for a standby.
	config.RuntimeParams = map[string]string{
		"application_name": "pgkeeper", "search_path": "pg_catalog,pg_temp", "default_transaction_read_only": "off",
		"synchronous_commit": "local", "statement_timeout": "0", "client_min_messages": "warning",
		"client_encoding": "UTF8", "standard_conforming_strings": "on",
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("log in to the local server: %w", err)
	}
	return conn, nil
}

// ask uses the connection to the local server that is kept, one caller at a
// time. What may take long has one of its own (exec).
func (c *Cluster) ask(ctx context.Context, do func(*pgx.Conn) error) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for the connection to the local server: %w", ctx.Err())
	}
	defer func() { <-c.turn }()
	if c.conn == nil || c.conn.IsClosed() {
		conn, err := c.connect(ctx)
		if err != nil {
			return err
		}
		c.conn = conn
	}
	err := do(c.conn)
	if err != nil {
		c.drop()
	}
	return err
}

// drop closes the connection that is kept. turn is held.
func (c *Cluster) drop() {
	if c.conn != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // the server may not answer: no farewell
		_ = c.conn.Close(ctx)
		c.conn = nil
	}
}

// Forget closes the connection that is kept; one in use ends with its server.
func (c *Cluster) Forget() {
	select {
	case c.turn <- struct{}{}:
		c.drop()
		<-c.turn
	default:
	}
}

// exec runs a statement on the local server.
func (c *Cluster) exec(ctx context.Context, statement string, args ...any) error {
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, statement, args...)
	return err
}

// conninfo returns how to log in to another node's server, for replication when
// no database is named.
func (c *Cluster) conninfo(address, database string) string {
	l := c.settings.Login
	parts := []string{
		"host=" + quote(address), fmt.Sprintf("port=%d", c.settings.PostgreSQL.Port), "user=" + quote(l.User),
		"application_name=" + quote(string(c.settings.Node)), "connect_timeout=2",
	}
	if database == "" {
		// For libpq only: pgx would take these for settings of the server.
		parts = append(parts, "keepalives_idle=5", "keepalives_interval=1", "keepalives_count=3")
	}
	if database != "" {
		parts = append(parts, "dbname="+quote(database))
	}
	if l.Certificate != "" {
		parts = append(parts, "sslmode=verify-ca", "sslcert="+quote(l.Certificate), "sslkey="+quote(l.PrivateKey), "sslrootcert="+quote(l.CA))
	}
	return strings.Join(parts, " ")
}

// quote quotes a value of a connection string.
func quote(value string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
}
