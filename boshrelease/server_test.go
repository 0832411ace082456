package boshrelease_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// server is a node on which the job postgresql is to run, with what the outside
// needs to use it. Its disk outlives its nodes.
type server struct {
	*node
	t      *testing.T
	config nodeConfig
}

const hostKeys = "sslrootcert=/certs/server_ca.crt sslmode=verify-full host=127.0.0.1"

func newServer(t *testing.T, change func(properties map[string]any)) *server {
	t.Helper()
	properties, certs := serverProperties(t)
	if change != nil {
		change(properties)
	}
	files, err := renderJob(t, theRelease(t), properties)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, config: nodeConfig{storeDir: t.TempDir(), certs: certs,
		jobs: map[string]map[string]string{"postgresql": files}, packages: map[string]string{"postgresql-15": compiledPackage(t, "postgresql-15")}}}
	s.node = startNode(t, s.config)
	return s
}

// serverProperties are those of a job that can run, and the certificates and
// keys of those who use it.
func serverProperties(t *testing.T) (properties map[string]any, certs map[string]string) {
	t.Helper()
	serverCA, adminCA, strangerCA := newAuthority(t, "server-ca"), newAuthority(t, "admin-ca"), newAuthority(t, "stranger-ca")
	cert, key := serverCA.issue(t, "postgresql.d-1", "postgresql.d-1", "127.0.0.1")
	properties = map[string]any{
		"tls":       map[string]any{"ca": serverCA.PEM, "certificate": cert, "private_key": key},
		"admin":     map[string]any{"ca": adminCA.PEM},
		"memory_mb": 256,
	}
	certs = map[string]string{"server_ca.crt": serverCA.PEM, "stranger_ca.crt": strangerCA.PEM}
	certs["admin.crt"], certs["admin.key"] = adminCA.issue(t, "holdfast")
	certs["other.crt"], certs["other.key"] = adminCA.issue(t, "somebody")
	certs["stranger.crt"], certs["stranger.key"] = strangerCA.issue(t, "holdfast")
	certs["replication.crt"], certs["replication.key"] = adminCA.issue(t, "holdfast_replication")
	return properties, certs
}

// recreate loses the VM and makes another with the same disk.
func (s *server) recreate() {
	s.t.Helper()
	s.kill()
	s.node = startNode(s.t, s.config)
}

// up brings the job to life as a director does.
func (s *server) up() {
	s.t.Helper()
	s.do(s.script("pre-start"))
	started := time.Now()
	s.do(s.script("start"))
	if took := time.Since(started); took > 2*time.Second {
		s.t.Errorf("start took %s: monit wants it back at once", took)
	}
	s.do(s.script("post-start"))
	s.t.Logf("start to post-start done: %s", time.Since(started).Round(10*time.Millisecond))
}

// psql runs each statement by itself over a connection described by conninfo.
func (s *server) psql(conninfo string, statements ...string) (string, error) {
	s.t.Helper()
	command := "/var/vcap/packages/postgresql-15/bin/psql -XqAtw -v ON_ERROR_STOP=1 " + shellQuote(conninfo)
	for _, sql := range statements {
		command += " -c " + shellQuote(sql)
	}
	return s.run(command)
}

func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// as is the conninfo of a role that shows a client certificate.
func as(role, certificate, database string) string {
	return fmt.Sprintf("%s user=%s dbname=%s sslcert=/certs/%s.crt sslkey=/certs/%[4]s.key", hostKeys, role, database, certificate)
}

// with is the conninfo of a role that has a password.
func with(role, password, database string) string {
	return fmt.Sprintf("%s user=%s dbname=%s password=%s", hostKeys, role, database, password)
}

func (s *server) admin(sql string) string {
	s.t.Helper()
	out, err := s.psql(as("holdfast", "admin", "postgres"), sql)
	s.must(err)
	return out
}

// postmaster returns the pid of the server in the node.
func (s *server) postmaster() string {
	s.t.Helper()
	return s.do("cat /var/vcap/sys/run/postgresql/postgresql.pid")
}

// makeTenant does what a service provider does: an owner role without login, a
// database of its own and a login role.
func (s *server) makeTenant() {
	s.t.Helper()
	for _, sql := range []string{
		"CREATE ROLE owner_1 NOLOGIN",
		"GRANT owner_1 TO holdfast",
		"CREATE DATABASE tenant_1 OWNER owner_1",
		"ALTER DATABASE tenant_1 CONNECTION LIMIT 20",
		"REVOKE ALL ON DATABASE tenant_1 FROM PUBLIC",
		"CREATE ROLE app_1 LOGIN PASSWORD 'correct' IN ROLE owner_1 CONNECTION LIMIT 10",
		"GRANT app_1 TO holdfast",
		"GRANT CONNECT, TEMPORARY ON DATABASE tenant_1 TO owner_1",
		"ALTER ROLE app_1 SET role = 'owner_1'",
	} {
		s.admin(sql)
	}
}

func TestSettingsFollowMemoryAndDisk(t *testing.T) {
	for name, c := range map[string]struct {
		memory, connections int
		disk                string
		want                []string
	}{
		"tiny": {128, 0, "256M", []string{"max_connections = 25", "shared_buffers = 32MB", "work_mem = 1310kB", "maintenance_work_mem = 16MB",
			"min_wal_size = 32MB", "max_wal_size = 64MB", "temp_file_limit = 64MB"}},
		"small": {1024, 0, "2048M", []string{"max_connections = 128", "shared_buffers = 256MB", "effective_cache_size = 640MB", "work_mem = 2048kB",
			"maintenance_work_mem = 64MB", "max_wal_size = 204MB", "temp_file_limit = 409MB"}},
		"connections given": {1024, 16, "2048M", []string{"max_connections = 16", "work_mem = 16384kB"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, func(p map[string]any) { p["memory_mb"], p["max_connections"] = c.memory, c.connections })
			s.do("mount -t tmpfs -o size=" + c.disk + " tmpfs /var/vcap/store")
			got := s.do(s.script("tune"))
			for _, want := range c.want {
				if !strings.Contains(got+"\n", want+"\n") {
					t.Errorf("want %q in\n%s", want, got)
				}
			}
		})
	}
}

func TestMemoryIsDetectedFromTheCgroup(t *testing.T) {
	s := newServer(t, func(p map[string]any) { delete(p, "memory_mb") })
	total := s.do(s.script("tune") + " | head -n 1")
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		s.do("mountpoint -q /sys && umount /sys; mount -t tmpfs tmpfs /sys && mkdir -p $(dirname " + file + ") && echo 536870912 >" + file)
		if got := s.do(s.script("tune") + " | head -n 1"); !strings.HasPrefix(got, "# From 512 MiB of memory") || got == total {
			t.Errorf("with %s: got %q", file, got)
		}
	}
	for _, unlimited := range []string{"max", "9223372036854771712"} {
		s.do("echo " + unlimited + " >/sys/fs/cgroup/memory/memory.limit_in_bytes")
		if got := s.do(s.script("tune") + " | head -n 1"); got != total {
			t.Errorf("with limit %s: got %q, want the machine's: %q", unlimited, got, total)
		}
	}
}

func TestALostPacketIsSentAgainSoon(t *testing.T) {
	const (
		floor   = "/proc/sys/net/ipv4/tcp_rto_min_us"
		network = "ip link add up0 type veth peer name up1 && ip link set up1 up && ip addr add 10.9.0.2/24 dev up0 && ip link set up0 up && ip route add default via 10.9.0.1"
		routes  = "ip -4 route show"
		all     = routes + "; cat /proc/sys/net/ipv4/tcp_thin_linear_timeouts; [[ ! -e " + floor + " ]] || cat " + floor
	)
	t.Run("for the whole VM", func(t *testing.T) {
		if _, err := os.Stat(floor); err != nil {
			t.Skip("needs Linux 6.11")
		}
		s := newServer(t, nil)
		s.do(s.script("retransmit"))
		if got := s.do(all); got != "1\n50000" {
			t.Errorf("got %q, want no backoff and 50000 microseconds", got)
		}
	})
	t.Run("route by route, as before Linux 6.11", func(t *testing.T) {
		s := newServer(t, func(p map[string]any) { p["tcp"] = map[string]any{"retransmit_min_ms": 80} })
		s.do(network + " && if [[ -e " + floor + " ]]; then mount --bind " + floor + " " + floor + " && mount -o remount,bind,ro " + floor + "; fi")
		before := strings.Split(s.do(routes), "\n")
		s.do(s.script("retransmit"))
		after := strings.Split(s.do(s.script("retransmit")+" && "+routes), "\n") // repeated
		if len(before) != 2 || len(after) != 2 {
			t.Fatalf("want 2 routes, before\n%s\nafter\n%s", before, after)
		}
		for i, route := range after {
			if want := strings.TrimSpace(before[i]) + " rto_min lock 80ms"; strings.TrimSpace(route) != want {
				t.Errorf("got route %q, want %q", route, want)
			}
		}
	})
	t.Run("not at all, if asked", func(t *testing.T) {
		s := newServer(t, func(p map[string]any) { p["tcp"] = map[string]any{"retransmit_min_ms": 0} })
		before := s.do(network + " && " + all)
		if after := s.do(s.script("retransmit") + " && " + all); after != before {
			t.Errorf("got %q, want %q as before", after, before)
		}
	})
	t.Run("a VM that forbids it is told of, and the server starts", func(t *testing.T) {
		s := newServer(t, nil)
		s.do("mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys")
		s.up()
		if got := s.do("cat /var/vcap/sys/log/postgresql/retransmit.log"); !strings.Contains(got, "does not let its network be set") {
			t.Errorf("the log says %q", got)
		}
	})
}

func TestPreStartRefusesToRunWithoutADisk(t *testing.T) {
	s := newServer(t, nil)
	s.do("umount /var/vcap/store")
	if out, err := s.run(s.script("pre-start")); err == nil || !strings.Contains(out, "no persistent disk") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestPreStartNeverTouchesForeignData(t *testing.T) {
	for name, c := range map[string]struct{ prepare, want string }{
		"another version": {"echo 14 >data/PG_VERSION", "made by PostgreSQL 14"},
		"no database":     {"echo precious >data/file", "holds no PostgreSQL data"},
		"damaged":         {"echo 15 >data/PG_VERSION", "no pg_control"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			s.do("mkdir -p /var/vcap/store/postgresql/data && cd /var/vcap/store/postgresql && " + c.prepare)
			before := s.do("cd /var/vcap/store/postgresql && find data -type f | xargs md5sum")
			if out, err := s.run(s.script("pre-start")); err == nil || !strings.Contains(out, c.want) {
				t.Errorf("got %q, %v, want %q", out, err, c.want)
			}
			if after := s.do("cd /var/vcap/store/postgresql && find data -type f | xargs md5sum"); after != before {
				t.Errorf("data changed: %s, was %s", after, before)
			}
		})
	}
}

func TestAnInterruptedInitialisationIsRepeated(t *testing.T) {
	s := newServer(t, nil)
	s.do("mkdir -p /var/vcap/store/postgresql/data.new && echo 15 >/var/vcap/store/postgresql/data.new/PG_VERSION")
	s.up()
	if out := s.do("ls /var/vcap/store/postgresql"); out != "data\nreserve" {
		t.Errorf("on the disk: %q, want only data and the reserve", out)
	}
}

// The monit file must be valid; 5.33 is what the stemcell has.
func TestMonitAcceptsItsFile(t *testing.T) {
	s := newServer(t, nil)
	s.do(`cd /run && printf 'set daemon 1\ninclude /var/vcap/jobs/postgresql/monit\n' >monitrc && chmod 600 monitrc && ln -sf /dev/urandom /dev/random && monit -t -c /run/monitrc`)
}

func TestTheLogIsRotatedAndBounded(t *testing.T) {
	s := newServer(t, nil)
	s.up()
	const dir = "/var/vcap/sys/log/postgresql/"
	for round := range 7 {
		s.do(fmt.Sprintf("echo round %d >>%spostgresql.log", round, dir))
		s.do(s.script("rotate-log"))
	}
	if got := s.do("cd " + dir + " && ls postgresql.log*"); got != "postgresql.log\npostgresql.log-1\npostgresql.log-2\npostgresql.log-3\npostgresql.log-4" {
		t.Errorf("got files %q", got)
	}
	if got := s.do("cat " + dir + "postgresql.log-1 " + dir + "postgresql.log-4"); !strings.Contains(got, "round 6") || !strings.Contains(got, "round 3") {
		t.Errorf("got %q", got)
	}
	// The server writes to the new file.
	_, _ = s.psql(with("nobody", "wrong", "postgres"), "SELECT 1")
	s.eventually(5*time.Second, "the failed login is in the new log", func() error {
		_, err := s.run("grep -q nobody " + dir + "postgresql.log")
		return err
	})
}
