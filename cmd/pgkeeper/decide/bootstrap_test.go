package decide_test

import (
	"testing"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// newDeployment is the scene of a node of a deployment that has no data yet.
func newDeployment(node decide.Node) *scene {
	s := as(node, decide.Quorum)
	s.beats = false
	registered := s.view().Nodes
	for i := range registered {
		registered[i].ID = ""
	}
	*s.view() = decide.View{Nodes: registered}
	s.seen.Local = decide.Local{Guard: decide.Guard{Reachable: true, Deadline: decide.Forever}}
	for _, n := range all {
		if n != node {
			*s.peer(n) = decide.Status{Node: n}
		}
	}
	return s
}

func TestBootstrap(t *testing.T) {
	s := newDeployment("node-0")
	made := decide.Data{Present: true, Identity: "new", System: "s", End: at(1, 900), Exact: true}
	play(t, s, []step{
		{name: "the lease first", want: []string{"take 1"}},
		{name: "then the data", after: second, want: []string{"InitDB"}},
		{name: "then, in one transaction, what counts", given: func(s *scene) {
			s.end(decide.KindInitDB, decide.OK)
			s.seen.Local.Data = made
		}, want: []string{"register \"new\"", "renew, initialized, members [node-0]"}},
		{name: "only then a server", want: []string{"start primary"}},
		{name: "nothing more while it starts", given: func(s *scene) { s.server().State = decide.Starting }, after: 3 * second, want: []string{}},
		{name: "as the only member", given: func(s *scene) {
			ended(decide.KindStart)(s)
			s.seen.Local.Server = decide.Server{State: decide.Up, Timeline: 1, Written: 1000}
		}, want: []string{"remember {Announced:true Sole:true}", "create slot node-1", "renew, alias node-0 []"}},
	})
	if got := s.seen.Local.Guard.Deadline; got != decide.Forever {
		t.Errorf("deadline of a sole member's server: got %s, want forever", got)
	}
	if got := s.state.Status.Role; got != decide.Sole {
		t.Errorf("role: got %s, want %s", got, decide.Sole)
	}
}

// TestInitDB: `initialized` is set once, and where it is present nobody runs initdb again.
func TestInitDB(t *testing.T) {
	claimed := func(s *scene) {
		s.view().Leader = decide.Entry[decide.Leader]{Index: 9, Value: decide.Leader{Holder: "bootstrap/node-1", Node: "node-1", Epoch: 1}}
		s.view().AnsweredAt = s.seen.Now
	}
	for name, tc := range map[string]struct {
		given func(*scene)
		after decide.Instant
		want  []string
		why   string
	}{
		"Consul does not answer":          {given: func(s *scene) { s.consul = false }, after: 60 * sec, want: []string{}, why: "Consul does not answer"},
		"another makes the first data":    {given: claimed, after: 5 * sec, want: []string{}, why: "node-1 makes the first data"},
		"another began and stopped there": {given: claimed, after: 6 * sec, want: []string{"take 2"}, why: "no data yet"},
		"the deployment has data": {given: func(s *scene) {
			s.view().Initialized = decide.Entry[decide.Initialized]{Index: 5, Value: decide.Initialized{System: "s"}}
		}, after: 60 * sec, want: []string{}, why: "has no data, and nobody leads"},
		"there is data already: it counts": {given: func(s *scene) {
			s.seen.Local.Data = decide.Data{Present: true, Identity: "new", System: "s", Exact: true}
		}, after: sec / 4, want: []string{`register "new"`, "take 1", "renew, initialized, members [node-0]"}, why: "no data yet"},
		"Consul has lost everything": {given: func(s *scene) {
			s.seen.Local.Data = decide.Data{Present: true, Identity: "id-node-0", System: "s", Memory: decide.Memory{Announced: true}}
			s.view().Nodes[0].ID = "id-node-0"
		}, after: 60 * sec, want: []string{}, why: "an operator must decide"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDeployment("node-0")
			tc.given(s)
			lines(t, s, s.pass(tc.after.Sub(0)), tc.want...)
			if got := s.state.Status.Why; !contains(got, tc.why) {
				t.Errorf("reason: got %q, want %q in it", got, tc.why)
			}
		})
	}
}

// TestAnEmptyNode clones from whoever leads; it never makes data of its own.
func TestAnEmptyNode(t *testing.T) {
	empty := func(more ...func(*scene)) func(*scene) {
		return func(s *scene) {
			s.seen.Local.Data, s.seen.Local.Server = decide.Data{}, decide.Server{State: decide.Gone}
			for _, change := range more {
				change(s)
			}
		}
	}
	check(t, []rule{
		{name: "a new or replaced disk", node: "node-1", given: empty(), want: []string{"clone node-0", `register ""`}},
		{name: "nobody leads", node: "node-1", given: empty(released("", false)), after: 60 * second, want: []string{`register ""`}, why: "nobody leads"},
		{name: "the disk of the holder itself", node: "node-0", given: empty(), after: 60 * second, want: []string{`register ""`}, why: "has no data, and nobody leads"},
		{name: "the guard kills what runs without data", node: "node-0", given: func(s *scene) { s.seen.Local.Data = decide.Data{} }, want: []string{"fence: another node holds the lease", `register ""`}},
	})
}
