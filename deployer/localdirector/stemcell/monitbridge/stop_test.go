package main

import (
	"encoding/xml"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestNext(t *testing.T) {
	for name, c := range map[string]struct {
		service service
		running liveness
		asked   bool
		action  string
		done    bool
	}{
		"monitored and running":             {service{Monitored: 1}, yes, false, "stop", false},
		"about to be monitored":             {service{Monitored: 2}, yes, false, "stop", false},
		"monitored, its process gone":       {service{Monitored: 1}, no, false, "stop", false},
		"drained: runs unmonitored":         {service{}, yes, false, "monitor", false},
		"drained: has ended":                {service{}, no, false, "", true},
		"monit is at it":                    {service{Monitored: 1, Pending: 3}, yes, true, "", false},
		"being unmonitored":                 {service{Monitored: 1, Pending: 6}, yes, false, "", false},
		"stopped, but the process lives on": {service{}, yes, true, "monitor", false},
		"stopped":                           {service{}, no, true, "", true},
		"no pid file, never asked":          {service{}, unknown, false, "monitor", false},
		"no pid file, stopped":              {service{}, unknown, true, "", true},
	} {
		if action, done := next(c.service, c.running, c.asked); action != c.action || done != c.done {
			t.Errorf("%s: got %q, %v, want %q, %v", name, action, done, c.action, c.done)
		}
	}
}

func TestMembersOfTheGroup(t *testing.T) {
	const text = `<monit id="x"><services><service name="web"><monitor>1</monitor><pendingaction>3</pendingaction></service>
<service name="host"><monitor>1</monitor></service></services><servicegroups><servicegroup name="vcap"><service>web</service></servicegroup></servicegroups></monit>`
	var s status
	if err := xml.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	if got := s.members("vcap"); !slices.Equal(got, []service{{Name: "web", Monitored: 1, Pending: 3}}) {
		t.Errorf("got %+v", got)
	}
	if got := s.members("nobody"); len(got) != 0 {
		t.Errorf("an unknown group has members: %+v", got)
	}
}

func TestPidFilesAreRead(t *testing.T) {
	const text = `Runtime constants:
 Pid file           = /var/vcap/monit/monit.pid

Process Name          = web
 Group                = vcap
 Pid file             = /var/vcap/sys/run/web/web.pid

Process Name          = matched
 Match                = .*x=y.*
`
	if got, want := parsePidFiles(text), map[string]string{"web": "/var/vcap/sys/run/web/web.pid"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRuns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	for content, want := range map[string]liveness{fmt.Sprintln(os.Getpid()): yes, "": no, "x": no, "-1": no, "4194305": no} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := runs(file); got != want {
			t.Errorf("%q: got %v, want %v", content, got, want)
		}
	}
	if runs(file+"x") != no || runs("") != unknown {
		t.Error("a missing file or none at all")
	}
}
