package boshrelease_test

import (
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
