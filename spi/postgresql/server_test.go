package postgresql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/spi"
)

// server is a real PostgreSQL on loopback, set up with the release's own
// roles, rights and rules of access.
type server struct {
	t       *testing.T
	dir     string
	address string
	port    int
	cmd     *exec.Cmd
}

const serverBinaries = "/usr/lib/postgresql/15/bin"

// freePort is one that nothing listens on now.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func startServer(t *testing.T, port int, p spi.Preparation) *server {
	t.Helper()
	if _, err := os.Stat(serverBinaries + "/postgres"); err != nil {
		t.Fatalf("PostgreSQL 15 is missing: install it with `scripts/deps.sh test` (%v)", err)
	}
	s := newServer(t, "127.0.0.1", port)
	s.run("initdb", "--pgdata", s.path("data"), "--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C")
	s.write("data/pg_hba.conf", `local all postgres trust
local replication postgres trust
hostssl all postgres all reject
hostssl all holdfast samenet cert
hostssl all holdfast all reject
hostssl all all all scram-sha-256
`)
	s.configure(p)
	s.start()
	// As the release's post-start does.
	s.script("postgres", "server.sql")
	s.script("template1", "database.sql")
	return s
}

// newServer is one that is not there yet.
func newServer(t *testing.T, address string, port int) *server {
	t.Helper()
	// t.TempDir's parent is closed to the server's user.
	dir, err := os.MkdirTemp("", "holdfast-postgresql-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{t: t, dir: dir, address: address, port: port}
	s.owner()
	return s
}

// configure writes the server's configuration.
func (s *server) configure(p spi.Preparation) {
	s.t.Helper()
	text := func(name string) string { return fmt.Sprint(p.Attributes[name]) }
	s.write("server.crt", text("server_certificate"))
	s.write("server.key", p.SecretAttributes["server_private_key"].Reveal())
	s.write("admin_ca.crt", text("admin_ca"))
	s.write("postgresql.conf", fmt.Sprintf(`listen_addresses = '%s'
port = %d
unix_socket_directories = '%s'
data_directory = '%s'
ident_file = '%s'
hba_file = '%s'
ssl = on
ssl_cert_file = '%s'
ssl_key_file = '%s'
ssl_ca_file = '%s'
max_connections = 30
fsync = off
log_min_error_statement = panic
wal_retrieve_retry_interval = 100ms
`, s.address, s.port, s.dir, s.path("data"), s.path("data/pg_ident.conf"), s.path("data/pg_hba.conf"), s.path("server.crt"), s.path("server.key"), s.path("admin_ca.crt")))
}

// startStandby makes a standby of the server at another address, same port.
func (s *server) startStandby(address string, p spi.Preparation) *server {
	s.t.Helper()
	standby := newServer(s.t, address, s.port)
	if err := os.Chmod(s.dir, 0o755); err != nil { // its socket
		s.t.Fatal(err)
	}
	standby.run("pg_basebackup", "--host", s.dir, "--port", strconv.Itoa(s.port), "--username", "postgres",
		"--pgdata", standby.path("data"), "--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
	standby.configure(p)
	standby.start()
	return standby
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

// psql runs as the superuser, through the socket.
func (s *server) psql(database string, args ...string) string {
	s.t.Helper()
	return s.run("psql", append([]string{"--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--set", "admin=holdfast",
		"--host", s.dir, "--port", strconv.Itoa(s.port), "--username", "postgres", "--dbname", database}, args...)...)
}

// waitForSyncRep returns once commits wait for a synchronous standby: a reload takes
// effect only when the checkpointer has read it too.
func (s *server) waitForSyncRep() {
	s.t.Helper()
	commits := s.command("psql", "--no-psqlrc", "--host", s.dir, "--port", strconv.Itoa(s.port), "--username", "postgres",
		"--command", `DO $$ BEGIN
			FOR i IN 1..1000 LOOP
				PERFORM pg_logical_emit_message(true, 'test', ''), pg_sleep(0.01);
				COMMIT;
			END LOOP; END $$`)
	if err := commits.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		commits.Process.Kill()
		commits.Wait()
	})
	eventually(s.t, "a commit waits for a standby", func() error {
		waiting := s.psql("postgres", "--tuples-only", "--command", "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		if strings.TrimSpace(waiting) == "" {
			return errors.New("none does")
		}
		return nil
	})
}

// script runs one of the release's scripts, from a copy that the server's user
// may read.
func (s *server) script(database, name string) {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join("../../boshrelease/jobs/postgresql/templates", name))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name, string(content))
	s.psql(database, "--file", s.path(name))
}

// owner is who runs the server: PostgreSQL refuses root.
func (s *server) owner() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		s.t.Fatal(err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	if err := os.Chown(s.dir, uid, gid); err != nil {
		s.t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (s *server) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if owner := s.owner(); owner != nil {
		if err := os.Chown(s.path(name), int(owner.Uid), int(owner.Gid)); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(serverBinaries, name), args...)
	cmd.Dir = s.dir
	// The kernel ends the server with the test, however that ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner(), Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (s *server) run(name string, args ...string) string {
	s.t.Helper()
	output, err := s.command(name, args...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, output)
	}
	return string(output)
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = s.command("postgres", "-c", "config_file="+s.path("postgresql.conf"))
	log, err := os.Create(s.path("log"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		s.stop()
		log.Close()
	})
	eventually(s.t, "the server accepts connections", func() error {
		if err := s.command("pg_isready", "--host", s.dir, "--port", strconv.Itoa(s.port)).Run(); err != nil {
			return fmt.Errorf("%w; the server's log: %s", err, s.log())
		}
		return nil
	})
}

// stop ends the server and waits; a second stop does nothing.
func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGINT) // fast shutdown; Wait tells the rest
	s.cmd.Wait()
	s.cmd = nil
}

// log is what the server has written.
func (s *server) log() string {
	content, err := os.ReadFile(s.path("log"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(content)
}

// eventually waits for a condition, with a deadline.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not after 10 s: %v", what, err)
		case <-tick.C:
		}
	}
}
