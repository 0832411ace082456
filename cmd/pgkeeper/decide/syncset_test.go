package decide_test

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// acknowledge sets whose acknowledgement PostgreSQL waits for.
func acknowledge(nodes ...decide.Node) func(*scene) {
	return func(s *scene) { s.server().SyncNames = nodes }
}

// streaming sets which standbys the primary sees, and how far they have flushed.
func streaming(flushed map[decide.Node]decide.LSN) func(*scene) {
	return func(s *scene) {
		s.server().Standbys = nil
		for _, n := range all {
			if lsn, found := flushed[n]; found {
				s.server().Standbys = append(s.server().Standbys, decide.Standby{Node: n, Streaming: true, Flushed: lsn})
			}
		}
	}
}

// namesSet is the end of SetSyncNames.
func namesSet(s *scene) {
	s.end(decide.KindSetSync, decide.OK)
	s.server().SyncNames = s.latest(decide.KindSetSync).(decide.SetSyncNames).Names
}

// TestTheSetWidens: Consul first, PostgreSQL then.
func TestTheSetWidens(t *testing.T) {
	s := as("node-0", decide.Quorum)
	listed("node-1")(s)
	acknowledge("node-1")(s)
	streaming(map[decide.Node]decide.LSN{"node-1": 1000})(s)
	s.view().Alias.Replicas = []decide.Node{"node-1"}
	s.steady()
	s.held = true
	play(t, s, []step{
		{name: "a standby begins to stream: it is listed", given: streaming(map[decide.Node]decide.LSN{"node-1": 1000, "node-2": 1000}), after: second / 4,
			want: []string{"renew, sync quorum [node-1 node-2], alias node-0 [node-1 node-2]"}},
		{name: "not known whether it is", after: second / 4, want: []string{}},
		{name: "it is listed: it may acknowledge", given: func(s *scene) { s.held = false; s.end(decide.KindWrite, decide.OK) }, want: []string{"wait for [node-1 node-2]"}},
		{name: "it may acknowledge", given: namesSet, after: second, want: []string{}},
	})
}

// TestTheSetNarrows: PostgreSQL first, Consul only once what the leaving one may
// alone have acknowledged is on another.
func TestTheSetNarrows(t *testing.T) {
	s := as("node-0", decide.Quorum).steady()
	play(t, s, []step{
		{name: "a standby stops streaming", given: streaming(map[decide.Node]decide.LSN{"node-1": 900}), after: 2500 * time.Millisecond,
			want: []string{"renew, alias node-0 [node-1]"}},
		{name: "for longer than its grace: it acknowledges no more", after: second / 2, want: []string{"wait for [node-1]"}},
		{name: "the other has not all of it yet", given: namesSet, after: 5 * second, want: []string{}},
		{name: "all but a byte", given: streaming(map[decide.Node]decide.LSN{"node-1": 999}), after: 5 * second, want: []string{}},
		{name: "the other has all of it: it leaves the list", given: streaming(map[decide.Node]decide.LSN{"node-1": 1000}), want: []string{"renew, sync quorum [node-1]"}},
		{name: "the last one stops streaming: commits wait for it", given: streaming(nil), after: 60 * second, want: []string{"renew, alias node-0 []"}},
	})
}

func TestTheSet(t *testing.T) {
	check(t, []rule{
		{name: "armed with the first standby that streams", node: "node-0", given: func(s *scene) {
			s.view().Sync.Value = decide.Sync{Mode: decide.Async}
			acknowledge()(s)
		}, after: second, want: []string{"renew, sync quorum [node-1 node-2]", "wait for [node-1 node-2]"}},
		{name: "not without one", node: "node-0", fresh: true, given: func(s *scene) {
			s.view().Sync.Value, s.view().Alias.Replicas = decide.Sync{Mode: decide.Async}, nil
			acknowledge()(s)
			streaming(nil)(s)
		}, after: 5 * second},
		{name: "never disarmed while there is another member", node: "node-0", given: streaming(nil), after: 60 * second, want: []string{"renew, alias node-0 []"}},
		{name: "a copy on another disk acknowledges nothing until it is a member", node: "node-0", given: func(s *scene) {
			s.peer("node-2").ID = "new"
			s.peer("node-2").Streaming = false
		}, after: 5 * second, want: []string{"wait for [node-1]"}},
		{name: "async: disarmed, and the list says so", node: "node-0", mode: decide.Async, given: func(s *scene) {
			listed("node-1", "node-2")(s)
			s.view().Sync.Value.Mode = decide.Quorum
			acknowledge("node-1", "node-2")(s)
		}, want: []string{"wait for []"}},
		{name: "async: in that order", node: "node-0", mode: decide.Async, given: func(s *scene) {
			listed("node-1", "node-2")(s)
			s.view().Sync.Value.Mode = decide.Quorum
		}, want: []string{"renew, sync async []"}},
		{name: "a new primary lists itself until somebody has caught up", node: "node-0", fresh: true, given: func(s *scene) {
			listed("node-0", "node-1", "node-2")(s)
			s.server().Written = 1100
		}, after: 5 * second},
		{name: "and not any longer", node: "node-0", given: listed("node-0", "node-1", "node-2"), want: []string{"renew, sync quorum [node-1 node-2]"}},
		{name: "a narrower list is not written beside one in doubt", node: "node-0", given: func(s *scene) {
			listed("node-0", "node-1", "node-2")(s)
			s.held = true
			s.decide()
			s.end(decide.KindWrite, decide.Unknown)
			s.held = false
			s.view().Leader.Index-- // the reading is of before
			s.consul = false
		}, after: 2 * second, want: []string{"ask [node-1 node-2] for promises"}},
	})
}

// TestTheSetOfAStart: what is written down before a primary starts again.
func TestTheSetOfAStart(t *testing.T) {
	crashed := func(more ...func(*scene)) func(*scene) {
		return func(s *scene) {
			s.peer("node-1").Willing, s.peer("node-2").Willing = false, false
			for _, change := range more {
				change(s)
			}
			s.gone(at(1, 1000), false)
		}
	}
	check(t, []rule{
		{name: "commits wait for those listed from the first moment on", node: "node-0", given: crashed(), want: []string{"start primary [node-1 node-2]"}},
		{name: "who answers and is not listed is listed first", node: "node-0", given: crashed(listed("node-1")),
			after: second / 2, want: []string{"renew, sync quorum [node-1 node-2]", "start primary [node-1 node-2]"}},
		{name: "when nobody answers and nobody else is listed, all are", node: "node-0", given: func(s *scene) {
			s.lose("node-1", "node-2")
			s.pass(3 * second)
			s.leap(s.cfg.Tick)
			crashed(listed("node-0"))(s)
		}, after: second / 2, want: []string{"renew, sync quorum [node-0 node-1 node-2]", "start primary [node-1 node-2]"}},
		{name: "async waits for nobody", node: "node-0", mode: decide.Async, given: crashed(), want: []string{"start primary"}},
	})
}
