package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/stack"
	"github.com/holdfast-osb/holdfast/test/stacktest"
)

// deadParts kills each part in turn: the supervisor starts it again.
func deadParts(t *testing.T, s *stacktest.Stack) {
	s.Refresh()
	for _, before := range s.Status.Parts {
		if before.Name == "supervisor" {
			continue
		}
		if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		stacktest.Eventually(t, time.Minute, before.Name+" is back", func() error {
			s.Refresh()
			for _, after := range s.Status.Parts {
				if after.Name == before.Name && after.Up && after.PID != before.PID {
					return nil
				}
			}
			return fmt.Errorf("status: %+v", s.Status.Parts)
		})
	}
	healthy(t, s)
}

// deadSupervisor kills the supervisor: its parts go on, the next `up` takes
// over, and an instance made before is still there.
func deadSupervisor(t *testing.T, s *stacktest.Stack) {
	s.CLI("create", "postgresql", "single-small", "survivor")
	var credentials map[string]any
	if err := json.Unmarshal([]byte(s.CLI("bind", "survivor", "--json")), &credentials); err != nil {
		t.Fatal(err)
	}
	uri := fmt.Sprint(credentials["uri"])
	useSQL(t, s, uri, "CREATE TABLE t (n int)")
	s.Refresh()
	supervisor := part(s.Status, "supervisor")
	if err := syscall.Kill(supervisor.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	stacktest.Eventually(t, 10*time.Second, "the supervisor is dead", func() error {
		s.Refresh()
		if s.Status.Running {
			return errors.New("it still runs")
		}
		return nil
	})
	useSQL(t, s, uri, "INSERT INTO t VALUES (1)")
	s.Up()
	useSQL(t, s, uri, "INSERT INTO t VALUES (2)")
	s.CLI("delete", "survivor")
}

func part(status stack.Status, name string) stack.PartStatus {
	for _, p := range status.Parts {
		if p.Name == name {
			return p
		}
	}
	return stack.PartStatus{}
}
