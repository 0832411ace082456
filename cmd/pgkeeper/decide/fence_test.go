package decide_test

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// cutOff is a primary that sees neither Consul nor any other node.
func cutOff(s *scene) {
	s.consul = false
	s.lose("node-1", "node-2")
}

func TestFence(t *testing.T) {
	check(t, []rule{
		{name: "the lease holds for five seconds from the start of the last renewal", node: "node-0", given: cutOff, after: 4500 * time.Millisecond,
			want: []string{"ask [node-1 node-2] for promises"}},
		{name: "then the server is killed", node: "node-0", given: cutOff, after: 4750 * time.Millisecond,
			want: []string{"ask [node-1 node-2] for promises", "fence: the lease has run out"}},
		{name: "another node holds the lease", node: "node-0", given: func(s *scene) {
			s.beats = false
			s.view().Leader.Index += 5
			s.leader().Holder, s.leader().Node, s.leader().Epoch = id("node-1"), "node-1", 4
		}, want: []string{"fence: another node holds the lease"}},
		{name: "the data are not those that hold the lease", node: "node-0", given: func(s *scene) { s.data().Identity = "new" },
			want: []string{"fence: another node holds the lease", `register "new"`}},
		{name: "the guard has gone", node: "node-0", given: func(s *scene) { s.seen.Local.Guard.Reachable = false }, want: []string{"fence: the guard has gone"}},
		{name: "the guard's deadline has passed", node: "node-0", given: func(s *scene) { s.seen.Local.Guard.Deadline = s.seen.Now }, want: []string{"fence: the lease has run out"}},
		{name: "backends outlive a killed postmaster", node: "node-0", given: func(s *scene) { s.server().State = decide.Remains },
			want: []string{"fence: the postmaster has gone, processes remain"}},
		{name: "those of a standby as well", node: "node-1", given: func(s *scene) { s.server().State = decide.Remains },
			want: []string{"fence: the postmaster has gone, processes remain"}},
		{name: "a standby needs no lease", node: "node-1", given: cutOff, after: 60 * second},
		{name: "an armed standby may have a promotion behind it", node: "node-1", given: func(s *scene) { s.seen.Local.Guard.Deadline = s.seen.Now.Add(second) },
			want: []string{"fence: a takeover was left half done"}},
		{name: "a server that starts as a primary is under the lease too", node: "node-0", given: func(s *scene) {
			cutOff(s)
			s.server().State = decide.Starting
		}, after: 5 * second, want: []string{"ask [node-1 node-2] for promises", "fence: the lease has run out"}},
		{name: "and one that stops", node: "node-0", given: func(s *scene) {
			cutOff(s)
			s.server().State = decide.Stopping
		}, after: 5 * second, want: []string{"ask [node-1 node-2] for promises", "fence: the lease has run out"}},
		{name: "a keeper that begins goes by what its predecessor told the guard", node: "node-0", fresh: true, given: cutOff, after: 4750 * time.Millisecond},
		{name: "and no longer than that", node: "node-0", fresh: true, given: cutOff, after: 5 * second, want: []string{"fence: the lease has run out"}},
	})
}

func TestAServerThatHangs(t *testing.T) {
	for name, tc := range map[string]struct {
		node decide.Node
		d    time.Duration
		want []string
	}{
		"a primary, for less than ten seconds": {"node-0", 9750 * time.Millisecond, []string{}},
		"a primary, for longer":                {"node-0", 11 * second, []string{"fence: the server does not answer"}},
		"a standby may":                        {"node-1", 60 * second, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := as(tc.node, decide.Async).steady()
			s.hung = true
			lines(t, s, s.pass(tc.d), tc.want...)
		})
	}
	t.Run("a keeper that was itself stopped judges no server hung", func(t *testing.T) {
		s := as("node-0", decide.Async).steady()
		s.leap(30 * second)
		s.seen.Local.Guard.Deadline = s.seen.Now.Add(second) // it has thawed in time
		s.view().AskedAt, s.view().AnsweredAt = s.seen.Now, s.seen.Now
		if got := s.decideNow(); has(got, decide.KindFence) && s.state.Status.Why == "the server does not answer" {
			t.Errorf("actions: got %q", told(got))
		}
	})
}

// TestAFrozenNode: what counts on waking is the clock, which went on.
func TestAFrozenNode(t *testing.T) {
	for name, tc := range map[string]struct {
		d    time.Duration
		want []string
	}{
		"for less than the lease holds": {3 * second, []string{"ask [node-1 node-2] for promises"}},
		"for longer":                    {20 * second, []string{"fence: the lease has run out"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := as("node-0", decide.Quorum).steady()
			s.leap(tc.d)
			lines(t, s, s.decideNow(), tc.want...) // with what it knew before
		})
	}
}

// sole is the scene of the only member.
func sole() *scene {
	s := as("node-0", decide.Quorum)
	view := s.view()
	view.Members.Value, view.Nodes = view.Members.Value[:1], view.Nodes[:1]
	view.Sync.Value, view.Alias.Replicas = decide.Sync{Mode: decide.Async}, nil
	s.seen.Peers, s.server().Standbys, s.server().Slots, s.server().SyncNames = nil, nil, nil, nil
	s.data().Sole = true
	s.seen.Local.Guard.Deadline = decide.Forever
	return s
}

// TestTheSoleMember is never fenced for Consul's absence: nobody can take its lease.
func TestTheSoleMember(t *testing.T) {
	without := func(s *scene) { s.consul = false; s.view().AnsweredAt = 0 }
	for name, tc := range map[string]struct {
		fresh bool
		given func(*scene)
		after time.Duration
		want  []string
		role  decide.Role
	}{
		"Consul goes away":                          {given: func(s *scene) { s.consul = false }, after: 600 * second, want: []string{}, role: decide.Sole},
		"a keeper begins without Consul":            {fresh: true, given: without, after: 600 * second, want: []string{}, role: decide.Sole},
		"it starts its server without Consul":       {fresh: true, given: func(s *scene) { without(s); s.gone(at(1, 1000), false) }, want: []string{"start primary"}, role: decide.Sole},
		"one that cannot know that it is, does not": {fresh: true, given: func(s *scene) { without(s); s.gone(at(1, 1000), false); s.data().Sole = false }, after: 60 * second, want: []string{}, role: decide.Waiting},
		"a keeper begins without Consul or the note": {fresh: true, given: func(s *scene) {
			without(s)
			s.data().Sole = false
			s.seen.Local.Guard.Deadline = s.seen.Now.Add(5 * second)
		}, after: 5 * second, want: []string{"fence: the lease has run out"}, role: decide.Fenced},
		"the lease has run out while it was cut off":   {given: func(s *scene) { s.consul = false; s.pass(60 * second); s.consul = true }, after: 5 * second, want: []string{}, role: decide.Sole},
		"its server crashes while Consul is away":      {given: func(s *scene) { s.consul = false; s.gone(at(1, 1000), false) }, want: []string{"start primary"}, role: decide.Restarting},
		"its note is written when it becomes the last": {given: func(s *scene) { s.data().Sole = false }, want: []string{"remember {Announced:true Sole:true}"}, role: decide.Sole},
	} {
		t.Run(name, func(t *testing.T) {
			s := sole()
			if !tc.fresh {
				s.steady()
			}
			tc.given(s)
			lines(t, s, s.pass(tc.after), tc.want...)
			if got := s.state.Status.Role; got != tc.role {
				t.Errorf("role: got %s, want %s (%s)", got, tc.role, s.state.Status.Why)
			}
		})
	}
}
