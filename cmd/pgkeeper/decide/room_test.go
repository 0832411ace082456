package decide_test

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// room sets how much is left of this node's disk.
func room(d decide.Disk) func(*scene) { return func(s *scene) { s.seen.Local.Disk = d } }

// roomy has nodes say that their disks have room.
func roomy(nodes ...decide.Node) func(*scene) {
	return func(s *scene) {
		for _, n := range nodes {
			s.peer(n).Disk = decide.Roomy
		}
	}
}

// both is one event after the other.
func both(first, second func(*scene)) func(*scene) {
	return func(s *scene) { first(s); second(s) }
}

// TestAFullDisk of the primary: it hands over to a standby that has room, if there is one.
func TestAFullDisk(t *testing.T) {
	full := room(decide.Disk{Free: 15 * mib, Size: gib})
	check(t, []rule{
		{name: "a standby has room", node: "node-0", given: both(full, roomy("node-2")), after: second, want: []string{"Checkpoint"}, why: "its disk is full: to node-2"},
		{name: "with async replication", node: "node-0", mode: decide.Async, given: both(full, roomy("node-1")), after: second, want: []string{"Checkpoint"}, why: "to node-1"},
		{name: "full only for a moment", node: "node-0", given: both(full, roomy("node-2")), after: 750 * time.Millisecond, want: []string{}, why: "its disk is full"},
		{name: "nobody has room", node: "node-0", given: full, after: 5 * second, want: []string{}, why: "its disk is full"},
		{name: "who has room does not stream", node: "node-0", given: func(s *scene) { full(s); roomy("node-2")(s); s.server().Standbys[1].Streaming = false },
			after: 5 * second, want: []string{"renew, alias node-0 [node-1]", "wait for [node-1]"}, why: "its disk is full"},
		{name: "the reserve was given up", node: "node-0", given: both(room(decide.Disk{Free: 900 * mib, Size: gib, ReserveGone: true}), roomy("node-1")),
			after: second, want: []string{"Checkpoint"}, why: "to node-1"},
		{name: "a segment fits", node: "node-0", given: both(room(decide.Disk{Free: 16 * mib, Size: gib}), roomy("node-1")), after: 5 * second, want: []string{}},
		{name: "not read yet", node: "node-0", given: both(room(decide.Disk{}), roomy("node-1")), after: 5 * second, want: []string{}},
		{name: "a standby's", node: "node-1", given: both(full, roomy("node-2")), after: 5 * second, want: []string{}},
	})
}

// TestAFullDiskAgain: a switchover that came to nothing is tried again a minute later.
func TestAFullDiskAgain(t *testing.T) {
	s := as("node-0", decide.Async).steady()
	both(room(decide.Disk{Size: gib}), roomy("node-2"))(s)
	s.pass(second)
	ended(decide.KindCheckpoint)(s)
	s.decide()
	play(t, s, []step{
		{name: "given up", given: stopped(at(1, 1000), false), after: 2 * second, want: []string{"start primary"}},
		{name: "not at once again", given: func(s *scene) {
			s.end(decide.KindStart, decide.OK)
			s.seen.Local.Guard.Deadline = s.seen.Now.Add(4 * second)
			s.seen.Local.Server = decide.Server{State: decide.Up, Timeline: 1, Written: 1150, Slots: []decide.Node{"node-1", "node-2"},
				Standbys: []decide.Standby{{Node: "node-1", Streaming: true}, {Node: "node-2", Streaming: true}}}
		}, after: 50 * second, want: []string{}},
		{name: "but a minute later", after: 10 * second, want: []string{"Checkpoint"}},
	})
}

// TestAFullDiskEndsTheServer while it hands over. With async replication nobody may have
// the last of its log: it starts again and hands over then.
func TestAFullDiskEndsTheServer(t *testing.T) {
	crashed := func(s *scene) {
		ended(decide.KindCheckpoint)(s)
		s.gone(at(1, 1100), true)
		s.data().Ended, s.data().Clean = true, false
	}
	started := func(s *scene) {
		s.end(decide.KindStart, decide.OK)
		s.seen.Local.Guard.Deadline = s.seen.Now.Add(4 * second)
		s.seen.Local.Server = decide.Server{State: decide.Up, Timeline: 1, Written: 1150, Slots: []decide.Node{"node-1", "node-2"},
			Standbys: []decide.Standby{{Node: "node-1", Streaming: true}, {Node: "node-2", Streaming: true}}}
	}
	begin := func(mode decide.Mode) *scene {
		s := as("node-0", mode).steady()
		both(room(decide.Disk{Size: gib}), roomy("node-2"))(s)
		lines(t, s, s.pass(second), "Checkpoint")
		return s
	}
	t.Run("async", func(t *testing.T) {
		play(t, begin(decide.Async), []step{
			{name: "starts again", given: crashed, after: second / 2, want: []string{"start primary"}},
			{name: "hands over as soon as it has been full for a second", given: started, after: second, want: []string{"Checkpoint"}},
		})
	})
	t.Run("quorum: what was acknowledged a standby has", func(t *testing.T) {
		play(t, begin(decide.Quorum), []step{
			{name: "hands over once it has compared with them", given: crashed, after: second / 2, want: []string{`release for "node-1"`}},
		})
	})
	t.Run("who asked for a switchover is told", func(t *testing.T) {
		s := as("node-0", decide.Async).steady()
		switchover("node-2")(s)
		s.decide()
		play(t, s, []step{{name: "told", given: crashed, after: second / 2, want: []string{"refuse: the server crashed before it was stopped", "start primary"}}})
	})
}

// TestRoomIsPublished for the primary to see.
func TestRoomIsPublished(t *testing.T) {
	for name, tc := range map[string]struct {
		disk decide.Disk
		want decide.Room
	}{
		"an eighth is left":      {decide.Disk{Free: gib / 8, Size: gib}, decide.Roomy},
		"less is left":           {decide.Disk{Free: gib/8 - 1, Size: gib}, decide.Low},
		"a segment just fits":    {decide.Disk{Free: 16 * mib, Size: gib}, decide.Low},
		"a segment does not fit": {decide.Disk{Free: 16*mib - 1, Size: gib}, decide.Full},
		"the reserve is gone":    {decide.Disk{Free: gib, Size: gib, ReserveGone: true}, decide.Full},
		"the disk was not read":  {decide.Disk{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := as("node-1", decide.Quorum).steady()
			room(tc.disk)(s)
			s.decide()
			if got := s.state.Status.Disk; got != tc.want {
				t.Errorf("disk: got %q, want %q", got, tc.want)
			}
		})
	}
}
