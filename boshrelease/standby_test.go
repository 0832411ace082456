package boshrelease_test

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// PostgreSQL refuses to be a standby with fewer max_connections than its primary
// had, so a smaller plan must not keep nodes from starting.
func TestAStandbyHasTheSessionsOfItsPrimary(t *testing.T) {
	s := newServer(t, func(p map[string]any) { p["max_connections"] = 40 })
	s.up()
	s.do(s.script("stop"))
	const settings = "/var/vcap/data/postgresql/conf.d/"
	s.do("sed -i 's/^max_connections.*/max_connections = 30/' " + settings + "tuned.conf")
	for _, c := range []struct{ prepare, want string }{
		{"true", ""},
		{"touch /var/vcap/store/postgresql/data/standby.signal", "max_connections = 40"},
		{"sed -i 's/^max_connections.*/max_connections = 50/' " + settings + "tuned.conf", ""},
		{"sed -i 's/^max_connections.*/max_connections = 30/' " + settings + "tuned.conf", "max_connections = 40"},
	} {
		s.do(c.prepare)
		s.do(s.script("before-start"))
		if got, _ := s.run("cat " + settings + "upstream.conf 2>/dev/null"); got != c.want {
			t.Errorf("after %s: got %q, want %q", c.prepare, got, c.want)
		}
	}
	s.do(s.script("start"))
	s.eventually(15*time.Second, "the standby runs with enough", func() error {
		out, err := s.psql("host=/var/vcap/sys/run/postgresql user=postgres dbname=postgres", "SELECT pg_is_in_recovery(), current_setting('max_connections')")
		if err == nil && !strings.Contains(out, "t|40") {
			t.Errorf("got %q", out)
		}
		return err
	})
}

// What post-start writes every primary writes again: with all standbys of a
// quorum away it would wait for them, and who stops the node for it.
func TestPostStartWaitsForNoStandby(t *testing.T) {
	s := newServer(t, nil)
	s.up()
	const local = "host=/var/vcap/sys/run/postgresql user=postgres dbname=postgres"
	_, err := s.psql(local, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (gone)'", "SELECT pg_reload_conf()")
	s.must(err)
	s.eventually(10*time.Second, "commits wait", func() error {
		out, err := s.psql(local, "SELECT count(*) FROM pg_settings WHERE name = 'synchronous_standby_names' AND setting <> ''")
		if err == nil && out != "1" {
			err = errors.New("the setting has no effect yet")
		}
		return err
	})
	if out, err := s.runFor(15*time.Second, s.script("post-start")); err != nil {
		t.Errorf("post-start: %v %s", err, out)
	}
}
