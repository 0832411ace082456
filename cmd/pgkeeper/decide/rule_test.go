package decide_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// rule is a case of a table: something happens to a cluster in which all was
// well, and a node asks for these actions while it lasts.
type rule struct {
	name  string
	node  decide.Node
	mode  decide.Mode // quorum, when nothing is said
	fresh bool        // the keeper begins only now
	given func(*scene)
	after time.Duration // how long it lasts; 0: one decision
	want  []string
	why   string // part of the status's reason, where it matters
}

func check(t *testing.T, rules []rule) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			if r.mode == "" {
				r.mode = decide.Quorum
			}
			s := as(r.node, r.mode)
			if !r.fresh {
				s.steady()
			}
			if r.given != nil {
				r.given(s)
			}
			lines(t, s, s.pass(r.after), r.want...)
			if why := s.state.Status.Why; !strings.Contains(why, r.why) {
				t.Errorf("reason: got %q, want %q in it", why, r.why)
			}
		})
	}
}

// step is one of a sequence: what happens, and what a node asks for then.
type step struct {
	name  string
	given func(*scene)
	after time.Duration // how long it lasts; 0: one decision
	want  []string
	then  func(*scene) string // what is wrong afterwards, if anything
}

// play goes through the steps of a sequence in order, a tick between them.
func play(t *testing.T, s *scene, steps []step) {
	t.Helper()
	for _, one := range steps {
		t.Run(one.name, func(t *testing.T) {
			s.leap(s.cfg.Tick)
			if one.given != nil {
				one.given(s)
			}
			lines(t, s, s.pass(one.after), one.want...)
			if one.then != nil {
				if wrong := one.then(s); wrong != "" {
					t.Error(wrong)
				}
			}
		})
	}
}

// primaryIs says in a step who must be named primary in Consul.
func primaryIs(node decide.Node) func(*scene) string {
	return func(s *scene) string {
		if got := s.leader().Primary; got != id(node) {
			return fmt.Sprintf("primary in Consul: got %s, want %s", got, id(node))
		}
		return ""
	}
}

// ended is a step's event: the latest action of a kind has succeeded.
func ended(kind decide.Kind) func(*scene) {
	return func(s *scene) { s.end(kind, decide.OK) }
}

// has says whether one of the actions is of a kind.
func has(actions []decide.Action, kind decide.Kind) bool {
	return slices.ContainsFunc(actions, func(a decide.Action) bool { return a.Kind() == kind })
}

func contains(text, part string) bool { return strings.Contains(text, part) }

func containsLine(lines []string, line string) bool { return slices.Contains(lines, line) }
