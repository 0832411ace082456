package boshrelease_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/render"
)

// keptServer is a server under the keeper, the only node of its deployment, with
// a Consul server in the same VM.
type keptServer struct{ *server }

func newKeptServer(t *testing.T, change func(properties map[string]any)) keptServer {
	t.Helper()
	properties, certs := serverProperties(t)
	properties = kept(properties)
	consulFiles, consulCA := renderConsul(t)
	properties["consul"] = map[string]any{"servers": []any{"127.0.0.1"}, "ca": consulCA, "token": managementToken}
	properties["replication"] = map[string]any{"certificate": certs["replication.crt"], "private_key": certs["replication.key"]}
	properties["start_timeout_seconds"] = 60
	if change != nil {
		change(properties)
	}
	jobs := map[string]map[string]string{"consul-server": consulFiles}
	for job, properties := range map[string]map[string]any{"postgresql": properties, "repmgr": {}} {
		files, err := renderAs(t, theRelease(t), job, render.Job{Spec: instanceSpec(0, "127.0.0.1"), Properties: properties})
		if err != nil {
			t.Fatal(err)
		}
		jobs[job] = files
	}
	packages := map[string]string{}
	for _, name := range []string{"postgresql-15", "pgkeeper", "consul"} {
		packages[name] = compiledPackage(t, name)
	}
	s := keptServer{&server{t: t, config: nodeConfig{storeDir: t.TempDir(), jobs: jobs, packages: packages, certs: certs}}}
	s.node = startNode(t, s.config)
	return s
}

func (s keptServer) scriptOf(job, name string) string {
	return "/var/vcap/jobs/" + job + "/bin/" + name
}

func (s keptServer) startConsul() {
	s.t.Helper()
	for _, name := range []string{"pre-start", "start", "post-start", "post-deploy"} {
		s.do(s.scriptOf("consul-server", name))
	}
}

// up brings the node to life as a director does.
func (s keptServer) up() {
	s.t.Helper()
	s.do(s.script("pre-start"))
	if out, err := s.run("test -e /var/vcap/sys/run/postgresql/guard.pid"); err == nil {
		s.t.Errorf("pre-start started something: %s", out)
	}
	began := time.Now()
	s.do(s.script("start"))
	if took := time.Since(began); took > 2*time.Second {
		s.t.Errorf("start took %s: monit wants it back at once", took)
	}
	s.do(s.scriptOf("repmgr", "start"))
	s.do(s.script("post-start"))
	s.t.Logf("start to post-start done: %s", time.Since(began).Round(10*time.Millisecond))
}

func (s keptServer) pgkeeper(command string) string {
	s.t.Helper()
	return s.do("/var/vcap/packages/pgkeeper/bin/pgkeeper " + command + " --config /var/vcap/jobs/postgresql/config/pgkeeper.json")
}

func TestAServerUnderTheKeeper(t *testing.T) {
	s := newKeptServer(t, nil)
	s.startConsul()
	s.up()
	s.makeTenant()
	s.insert()
	t.Run("it is a primary as without a keeper", func(t *testing.T) {
		if got := s.pgkeeper("wait --timeout 10s"); got != "primary" {
			t.Errorf("got role %q", got)
		}
		for name, want := range map[string]string{"data_checksums": "on", "wal_log_hints": "on", "lc_ctype": "C.UTF-8", "shared_preload_libraries": "repmgr"} {
			if got := s.admin("SHOW " + name); got != want {
				t.Errorf("%s: got %s, want %s", name, got, want)
			}
		}
	})
	t.Run("logins", s.testLogins)
	t.Run("nodes log in by certificate only", s.testReplicationLogins)
	t.Run("tenants stay in their database", s.testTenantRights)
	t.Run("repmgr watches it", func(t *testing.T) {
		const superuser = "host=/var/vcap/sys/run/postgresql user=postgres dbname=repmgr"
		s.eventually(20*time.Second, "repmgrd looks at the server", func() error {
			out, err := s.psql(superuser, "SELECT node_name, type, active FROM repmgr.nodes", "SELECT repmgr.repmgrd_is_running()")
			if err == nil && out != "node-0|primary|t\nt" {
				err = errors.New(out)
			}
			return err
		})
	})
	t.Run("a repeated deployment changes nothing", func(t *testing.T) {
		before := s.postmaster() + s.admin("SELECT system_identifier FROM pg_control_system()")
		for _, name := range []string{"pre-start", "start", "post-start"} {
			s.do(s.script(name))
		}
		if after := s.postmaster() + s.admin("SELECT system_identifier FROM pg_control_system()"); after != before {
			t.Errorf("server and system identifier: got %s, want %s", after, before)
		}
	})
	t.Run("the keeper starts a server that was killed", func(t *testing.T) {
		killed := s.postmaster()
		s.startBusySession()
		s.do("kill -KILL " + killed)
		began := time.Now()
		s.eventually(15*time.Second, "rows can be written", func() error {
			_, err := s.psql(with("app_1", "correct", "tenant_1"), insertRow)
			return err
		})
		t.Logf("kill -9 to the next row: %s", time.Since(began).Round(10*time.Millisecond))
		if s.postmaster() == killed {
			t.Error("the killed server is still there")
		}
	})
	t.Run("no secret is in logs or process lists", func(t *testing.T) {
		out := s.do("cat /var/vcap/sys/log/*/* /proc/[0-9]*/cmdline | tr '\\0' ' '")
		for _, secret := range []string{managementToken, "keeper-token", "BEGIN PRIVATE", "BEGIN EC PRIVATE"} {
			if strings.Contains(out, secret) {
				t.Errorf("%s is in logs or process lists", secret)
			}
		}
	})
	t.Run("drain leaves a clean disk, which the next VM goes on with", s.testDrainAndReturn)
}

// testReplicationLogins tries the ways to the role that is superuser on the network.
func (s keptServer) testReplicationLogins(t *testing.T) {
	for name, c := range map[string]struct{ conninfo, fault string }{
		"with its certificate":      {as("repmgr", "replication", "repmgr"), ""},
		"for a rewind":              {as("repmgr", "replication", "postgres"), ""},
		"with the admin's":          {as("repmgr", "admin", "repmgr"), "certificate authentication failed"},
		"with a stranger's":         {as("repmgr", "stranger", "repmgr"), "unknown ca"},
		"without one":               {hostKeys + " user=repmgr dbname=repmgr", "requires a valid client certificate"},
		"in a tenant's database":    {as("repmgr", "replication", "tenant_1"), "pg_hba.conf rejects connection"},
		"as somebody else":          {as("holdfast", "replication", "postgres"), "certificate authentication failed"},
		"as bootstrap superuser":    {as("postgres", "replication", "postgres"), "pg_hba.conf rejects connection"},
		"without TLS":               {"host=127.0.0.1 sslmode=disable user=repmgr dbname=repmgr", "no encryption"},
		"replication without proof": {hostKeys + " user=repmgr dbname=repmgr replication=true", "requires a valid client certificate"},
	} {
		out, err := s.psql(c.conninfo, "SELECT 1")
		if c.fault == "" && (err != nil || out != "1") || c.fault != "" && (err == nil || !strings.Contains(out, c.fault)) {
			t.Errorf("%s: got %q, %v, want %q", name, out, err, c.fault)
		}
	}
	if out, err := s.psql(as("repmgr", "replication", "repmgr")+" replication=true", "IDENTIFY_SYSTEM"); err != nil {
		t.Errorf("replication: %s", out)
	}
}

func (s keptServer) testDrainAndReturn(t *testing.T) {
	rows := s.rows()
	began := time.Now()
	if out := s.do(s.script("drain")); out != "0" {
		t.Errorf("drain printed %q, want 0 alone", out)
	}
	t.Logf("drain: %s", time.Since(began).Round(10*time.Millisecond))
	const control = "/var/vcap/packages/postgresql-15/bin/pg_controldata /var/vcap/store/postgresql/data | grep 'cluster state'"
	if out := s.do(control); !strings.HasSuffix(out, "shut down") {
		t.Errorf("got %q, want a clean shutdown", out)
	}
	for range 2 {
		s.do(s.script("stop"))
		s.do(s.scriptOf("repmgr", "stop"))
	}
	if out := s.do("for p in /proc/[0-9]*; do case $(readlink $p/exe) in */postgres|*/pgkeeper|*/repmgrd) cat $p/cmdline;; esac; done"); out != "" {
		t.Errorf("left: %q", out)
	}
	s.recreate()
	s.startConsul()
	s.up()
	if got := s.rows(); got != rows {
		t.Errorf("got %s rows, want %s", got, rows)
	}
}

// A new node may not make a database on its own: another may have made it already.
func TestANewNodeWaitsForConsulWithinABound(t *testing.T) {
	s := newKeptServer(t, func(p map[string]any) { p["start_timeout_seconds"] = 3 })
	s.do(s.script("pre-start"))
	s.do(s.script("start"))
	began := time.Now()
	out, err := s.run(s.script("post-start"))
	if err == nil || !strings.Contains(strings.ToLower(out), "consul") {
		t.Errorf("got %q, %v, want an error that names Consul", out, err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("post-start took %s", took)
	}
	if out := s.do("ls /var/vcap/store/postgresql"); strings.Contains(out, "data") {
		t.Errorf("a database was made: %s", out)
	}
	s.startConsul()
	s.eventually(30*time.Second, "the node becomes primary by itself", func() error {
		out, err := s.run(s.script("post-start"))
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
}
