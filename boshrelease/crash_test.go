package boshrelease_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const insertRow = "CREATE TABLE IF NOT EXISTS kept (id int); INSERT INTO kept VALUES (1)"

// rows are those that were acknowledged.
func (s *server) rows() string {
	s.t.Helper()
	out, err := s.psql(with("app_1", "correct", "tenant_1"), "SELECT count(*) FROM kept")
	s.must(err)
	return out
}

func (s *server) insert() {
	s.t.Helper()
	_, err := s.psql(with("app_1", "correct", "tenant_1"), insertRow)
	s.must(err)
}

// serverProcesses lists the pids of all processes of the server.
func (s *server) serverProcesses() []string {
	s.t.Helper()
	return strings.Fields(s.do("for p in /proc/[0-9]*; do case $(readlink $p/exe) in */bin/postgres) echo ${p#/proc/};; esac; done"))
}

// startBusySession leaves a session that computes for minutes and does not look
// whether its postmaster lives.
func (s *server) startBusySession() {
	s.t.Helper()
	s.do("PGAPPNAME=busy setsid /var/vcap/packages/postgresql-15/bin/psql -Xq '" + with("app_1", "correct", "tenant_1") +
		"' -c 'SELECT count(*) FROM generate_series(1, 20000) a, generate_series(1, 20000) b, generate_series(1, 20000) c' >/dev/null 2>&1 </dev/null &")
	s.eventually(10*time.Second, "the busy session runs", func() error {
		if s.admin("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'busy' AND state = 'active'") != "1" {
			return errors.New("not there")
		}
		return nil
	})
}

func TestRecoveryAfterTheServerWasKilled(t *testing.T) {
	s := newServer(t, nil)
	s.up()
	s.makeTenant()
	s.insert()
	s.startBusySession()
	old := s.serverProcesses()
	s.do("kill -KILL " + s.postmaster())
	started := time.Now()
	s.do(s.script("start"))
	s.do(s.script("post-start"))
	t.Logf("kill -9 with a busy session: start to post-start done %s", time.Since(started).Round(10*time.Millisecond))
	if got := s.rows(); got != "1" {
		t.Errorf("got %s rows, want 1", got)
	}
	for _, pid := range old {
		if out, err := s.run("cat /proc/" + pid + "/cmdline"); err == nil && strings.Contains(out, "postgres") {
			t.Errorf("process %s of the killed server lives on: %q", pid, out)
		}
	}
}

// A VM that is lost leaves a pid file on its disk. In the next VM that pid may
// be anybody's, also of a process of the same user or one of another PostgreSQL program.
func TestRecoveryAfterTheVMWasLost(t *testing.T) {
	s := newServer(t, nil)
	s.up()
	s.makeTenant()
	s.insert()
	s.recreate()
	impostor := s.do("setpriv --reuid vcap --clear-groups sleep 600 >/dev/null 2>&1 & echo $!")
	s.do(fmt.Sprintf("sed -i 1s/.*/%s/ /var/vcap/store/postgresql/data/postmaster.pid", impostor))
	s.up()
	if got := s.rows(); got != "1" {
		t.Errorf("got %s rows, want 1", got)
	}
	s.do("kill -0 " + impostor)
	if got := s.admin("SHOW data_checksums"); got != "on" {
		t.Errorf("data_checksums: got %s", got)
	}
}

func TestDrainShutsDownCleanly(t *testing.T) {
	s := newServer(t, nil)
	s.up()
	s.makeTenant()
	s.insert()
	s.startBusySession()
	started := time.Now()
	if out := s.do(s.script("drain") + " job_shutdown hash_unchanged"); out != "0" {
		t.Errorf("drain printed %q, want 0 alone", out)
	}
	t.Logf("drain with a busy session: %s", time.Since(started).Round(10*time.Millisecond))
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("drain took %s", took)
	}
	if left := s.serverProcesses(); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
	const control = "/var/vcap/packages/postgresql-15/bin/pg_controldata /var/vcap/store/postgresql/data | grep 'cluster state'"
	if out := s.do(control); !strings.HasSuffix(out, "shut down") {
		t.Errorf("got %q, want a clean shutdown", out)
	}
	for _, again := range []string{"drain", "stop"} {
		s.do(s.script(again))
	}
	s.up()
	if got := s.rows(); got != "1" {
		t.Errorf("got %s rows, want 1", got)
	}
}

// A server that does not react must not keep the director waiting for ever.
func TestDrainOfAStuckServerIsBounded(t *testing.T) {
	s := newServer(t, func(p map[string]any) { p["stop_timeout_seconds"] = 1 })
	s.up()
	s.makeTenant()
	s.insert()
	s.do("kill -STOP " + s.postmaster())
	started := time.Now()
	if out := s.do(s.script("drain")); out != "0" {
		t.Errorf("drain printed %q, want 0 alone", out)
	}
	if took := time.Since(started); took > 15*time.Second {
		t.Errorf("drain took %s", took)
	}
	if left := s.serverProcesses(); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
	s.up()
	if got := s.rows(); got != "1" {
		t.Errorf("got %s rows, want 1", got)
	}
}

func TestPostStartFailsWithinItsBound(t *testing.T) {
	s := newServer(t, func(p map[string]any) { p["start_timeout_seconds"] = 1 })
	s.do(s.script("pre-start"))
	started := time.Now()
	out, err := s.run(s.script("post-start"))
	if err == nil || !strings.Contains(out, "does not answer after 1 s") {
		t.Errorf("got %q, %v", out, err)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("post-start took %s", took)
	}
}

// post-start goes through TLS with verification: a certificate that clients would refuse fails the deployment.
func TestPostStartVerifiesTheServersCertificate(t *testing.T) {
	stranger := newAuthority(t, "stranger-ca")
	s := newServer(t, func(p map[string]any) { p["tls"].(map[string]any)["ca"] = stranger.PEM })
	s.do(s.script("pre-start"))
	s.do(s.script("start"))
	out, err := s.run(s.script("post-start"))
	if err == nil || !strings.Contains(out, "SQL over TLS does not work") {
		t.Errorf("got %q, %v", out, err)
	}
}

// A session that is killed takes the others down with it and the server up
// again by itself; what the session ran is not written to the log.
func TestAKilledSessionDoesNotLogItsStatement(t *testing.T) {
	const secret = "hunter2hunter2"
	s := newServer(t, nil)
	s.up()
	s.makeTenant()
	s.insert()
	s.do("setsid /var/vcap/packages/postgresql-15/bin/psql -Xq '" + with("app_1", "correct", "tenant_1") +
		`' -c "SELECT pg_sleep(60), '` + secret + `'" >/dev/null 2>&1 </dev/null &`)
	pid := ""
	s.eventually(10*time.Second, "the session sleeps", func() error {
		if pid = s.admin("SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"); pid == "" {
			return errors.New("not there")
		}
		return nil
	})
	s.do("kill -KILL " + pid)
	s.eventually(10*time.Second, "the server is back", func() error {
		_, err := s.psql(with("app_1", "correct", "tenant_1"), "SELECT 1")
		return err
	})
	if got := s.rows(); got != "1" {
		t.Errorf("got %s rows, want 1", got)
	}
	log := s.do("cat /var/vcap/sys/log/postgresql/*")
	if !strings.Contains(log, "was terminated by signal 9") || strings.Contains(log, secret) {
		t.Errorf("want the crash in the log without its statement:\n%s", log)
	}
}
