package boshrelease_test

import (
	"errors"
	"testing"
	"time"
)

// A tenant fills the disk until the server cannot write its WAL. monit starts it
// again, and the tenant can tidy up by SQL and then write as before.
func TestAFullDiskIsNotTheEnd(t *testing.T) {
	s := newServer(t, nil)
	s.do("mount -t tmpfs -o size=512M tmpfs /var/vcap/store")
	s.up()
	s.makeTenant()
	s.insert()
	app := with("app_1", "correct", "tenant_1")
	const reserve = "test -e /var/vcap/store/postgresql/reserve"
	s.do(reserve)

	s.fillDisk(app)
	// What monit does in each cycle.
	s.eventually(30*time.Second, "the server runs again", func() error {
		if _, err := s.run("kill -0 $(cat /var/vcap/sys/run/postgresql/postgresql.pid)"); err != nil {
			s.do(s.script("start"))
		}
		_, err := s.psql(app, "SELECT 1")
		return err
	})
	if out, err := s.run(reserve); err == nil {
		t.Fatalf("the reserve is still there: the disk was not full: %s", out)
	}
	if out, err := s.psql(app, "INSERT INTO kept VALUES (2)"); err == nil {
		t.Errorf("an app can fill the last of the disk: %s", out)
	}
	if got := s.rows(); got != "1" {
		t.Errorf("got %s rows, want 1", got)
	}
	s.do(s.script("post-start"))

	if out, err := s.psql(app, "SET default_transaction_read_only = off", "DROP TABLE big"); err != nil {
		t.Fatal(out)
	}
	s.eventually(20*time.Second, "writing is allowed again", func() error {
		_, err := s.psql(app, "INSERT INTO kept VALUES (2)")
		return err
	})
	s.do(reserve)
	s.eventually(10*time.Second, "nobody waits for room any more", func() error {
		if out, _ := s.run("for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline | grep 'bin/[r]eserve'; done"); out != "" {
			return errors.New(out)
		}
		return nil
	})
}

// fillDisk writes until the server is gone, in ever smaller steps.
func (s *server) fillDisk(app string) {
	s.t.Helper()
	if out, err := s.psql(app, "CREATE TABLE big (filler text)", "ALTER TABLE big ALTER filler SET STORAGE external"); err != nil {
		s.t.Fatal(out)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for _, rows := range []string{"4000", "400", "40", "1"} {
		for {
			if _, err := s.psql(app, "INSERT INTO big SELECT repeat('x', 8000) FROM generate_series(1, "+rows+")"); err != nil {
				break
			}
			if time.Now().After(deadline) {
				s.t.Fatal("the disk does not fill")
			}
		}
	}
	// Pages are full: only WAL grows now, until there is no room for the next segment.
	for {
		if _, err := s.psql(app, "UPDATE kept SET id = id", "SELECT pg_logical_emit_message(false, 'filler', repeat('x', 4000000))"); err != nil {
			if _, err := s.psql(app, "SELECT 1"); err != nil {
				return
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the server survives the full disk")
		}
	}
}
