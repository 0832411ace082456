package decide_test

import (
	"testing"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// handingOver is a primary that was asked to switch over and whose server has stopped.
func handingOver(t *testing.T, exact bool) (decide.Config, decide.State, decide.Observation) {
	t.Helper()
	cfg, seen := scene("node-0")
	seen.Local.Guard.Deadline = 105 * sec
	for _, p := range seen.Peers {
		seen.Local.Server.Standbys = append(seen.Local.Server.Standbys, decide.Standby{Node: p.Node, Streaming: true, Flushed: 1000})
	}
	state, _ := decide.Decide(cfg, decide.State{}, seen)
	seen = at(seen, 101*sec)
	seen.Requests = []decide.Request{{ID: 7, Ask: decide.AskSwitchover}}
	state, _ = decide.Decide(cfg, state, seen)
	seen = at(seen, 102*sec)
	seen.Requests = nil
	state, actions := decide.Decide(cfg, state, seen)
	if !has(actions, decide.KindStopCleanly) {
		t.Fatalf("does not stop its server: %v", actions)
	}
	seen = at(seen, 103*sec)
	seen.Local.Server = decide.Server{State: decide.Gone}
	seen.Local.Data.End, seen.Local.Data.Exact = decide.Position{Timeline: 1, LSN: 1080}, exact
	return cfg, state, seen
}

func has(actions []decide.Action, kind decide.Kind) bool {
	for _, a := range actions {
		if a.Kind() == kind {
			return true
		}
	}
	return false
}

// TestHandOver releases the lease without waiting for what the heir says: the
// heir takes it only when it has all of the log.
func TestHandOver(t *testing.T) {
	cfg, state, seen := handingOver(t, true)
	// The write that was under way ends.
	view := seen.Consul.View
	seen.Results = []decide.Result{{Action: decide.Write{Purpose: decide.RenewLease}, Started: 102 * sec, View: &view}}
	_, actions := decide.Decide(cfg, state, seen)
	for _, a := range actions {
		if w, ok := a.(decide.Write); ok && w.Purpose == decide.ReleaseLease {
			l := w.Leader.Value
			if !l.Final || l.Position != seen.Local.Data.End || l.Heir != "node-1" {
				t.Errorf("got %+v, want a final position for node-1", l)
			}
			return
		}
	}
	t.Errorf("the lease is not released: %v", actions)
}

func TestHandOverWithoutACertainEnd(t *testing.T) {
	cfg, state, seen := handingOver(t, false)
	for now := 103 * sec; now < 104*sec; now += sec / 4 {
		var actions []decide.Action
		state, actions = decide.Decide(cfg, state, at(seen, now))
		for _, a := range actions {
			if w, ok := a.(decide.Write); ok && w.Purpose == decide.ReleaseLease {
				t.Fatalf("released although the end of the log is not certain: %+v", w)
			}
		}
	}
}

// TestASwitchoverIsAnswered when somebody has the lease, not when it is free.
func TestASwitchoverIsAnswered(t *testing.T) {
	for name, tc := range map[string]struct {
		holder decide.Identity
		want   bool
	}{"taken over": {"id-node-1", true}, "taken back": {"id-node-0", false}} {
		t.Run(name, func(t *testing.T) {
			cfg, state, seen := handingOver(t, true)
			seen = at(seen, 104*sec)
			l := &seen.Consul.View.Leader
			l.Index, l.Value.Released = 51, true
			state, actions := decide.Decide(cfg, state, seen)
			if has(actions, decide.KindReply) {
				t.Fatalf("answered while nobody has the lease: %v", actions)
			}
			seen = at(seen, 105*sec)
			l = &seen.Consul.View.Leader
			l.Index, l.Value.Released, l.Value.Holder, l.Value.Epoch = 52, false, tc.holder, 4
			_, actions = decide.Decide(cfg, state, seen)
			for _, a := range actions {
				if r, ok := a.(decide.Reply); ok {
					if r.ID != 7 || r.Granted != tc.want {
						t.Errorf("got %+v, want granted %v", r, tc.want)
					}
					return
				}
			}
			t.Errorf("not answered: %v", actions)
		})
	}
}
