package decide_test

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

const sec = decide.Instant(time.Second)

// scene is a cluster of three as one node sees it: node-0 is the primary.
func scene(node decide.Node) (decide.Config, decide.Observation) {
	cfg := decide.Defaults(node, "10.0.0.1", decide.Async)
	id := decide.Identity("id-" + node)
	view := decide.View{AskedAt: 100 * sec, AnsweredAt: 100 * sec}
	view.Leader = decide.Entry[decide.Leader]{Index: 50, Value: decide.Leader{Holder: "id-node-0", Node: "node-0", Primary: "id-node-0", Epoch: 3,
		Reserved: 1, Position: decide.Position{Timeline: 1, LSN: 1000}}}
	view.Initialized = decide.Entry[decide.Initialized]{Index: 5, Value: decide.Initialized{System: "s"}}
	view.Members.Index = 20
	var seen decide.Observation
	for _, n := range []decide.Node{"node-0", "node-1", "node-2"} {
		member := decide.Member{Node: n, ID: decide.Identity("id-" + n), Address: "10.0.0.1"}
		view.Members.Value = append(view.Members.Value, member)
		view.Nodes = append(view.Nodes, decide.Registration{Node: n, ID: member.ID, Address: member.Address, StatusPort: 8432})
		if n != node {
			seen.Peers = append(seen.Peers, decide.Peer{Node: n, AskedAt: 100 * sec, AnsweredAt: 100 * sec, Status: decide.Status{
				Node: n, ID: member.ID, Known: true, Position: decide.Position{Timeline: 1, LSN: 1000}, Willing: n != "node-0"}})
		}
	}
	seen.Now = 100 * sec
	seen.Consul.View = view
	seen.Local.Guard = decide.Guard{Reachable: true, Deadline: decide.Forever}
	seen.Local.Data = decide.Data{Present: true, Identity: id, System: "s", Standby: node != "node-0", Memory: decide.Memory{Announced: true}}
	seen.Local.Server = decide.Server{State: decide.Up, InRecovery: node != "node-0", Timeline: 1, Written: 1000, Received: 1000, Replayed: 1000,
		Drained: true, AnsweredAt: 100 * sec, ReceiverGone: true}
	return cfg, seen
}

// at moves the scene's clock; Consul and the peers go on answering the same.
func at(seen decide.Observation, now decide.Instant) decide.Observation {
	seen.Now, seen.Consul.View.AskedAt, seen.Consul.View.AnsweredAt, seen.Local.Server.AnsweredAt = now, now, now, now
	seen.Peers = append([]decide.Peer(nil), seen.Peers...)
	for i := range seen.Peers {
		seen.Peers[i].AskedAt, seen.Peers[i].AnsweredAt = now, now
	}
	return seen
}

func takes(actions []decide.Action) bool {
	for _, a := range actions {
		if w, ok := a.(decide.Write); ok && w.Purpose == decide.TakeLease {
			return true
		}
	}
	return false
}

func TestWhoTakesTheLease(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*decide.Config, *decide.Observation)
		after  decide.Instant // since the index was first seen
		want   bool
	}{
		"the same index for less than a lease": {nil, 5 * sec, false},
		"the same index for a lease":           {nil, 7 * sec, true},
		"a released lease needs no waiting": {func(_ *decide.Config, o *decide.Observation) {
			o.Consul.View.Leader.Value.Released = true
		}, sec / 10, true},
		"released for another": {func(_ *decide.Config, o *decide.Observation) {
			o.Consul.View.Leader.Value.Released, o.Consul.View.Leader.Value.Heir = true, "node-2"
		}, sec, false},
		"a replaced disk is no member": {func(_ *decide.Config, o *decide.Observation) {
			o.Local.Data.Identity = "new"
		}, 20 * sec, false},
		"a peer is ahead": {func(_ *decide.Config, o *decide.Observation) {
			o.Peers[1].Status.Position.LSN = 1001
		}, 20 * sec, false},
		"a later timeline counts more than a position": {func(_ *decide.Config, o *decide.Observation) {
			o.Peers[1].Status.Position = decide.Position{Timeline: 2, LSN: 10}
		}, 20 * sec, false},
		"too far behind": {func(_ *decide.Config, o *decide.Observation) {
			o.Consul.View.Leader.Value.Position.LSN = 1000 + 17<<20
		}, 20 * sec, false},
		"quorum, and who may have acknowledged answers": {func(_ *decide.Config, o *decide.Observation) {
			o.Consul.View.Sync.Value = decide.Sync{Mode: decide.Quorum, Copies: []decide.Copy{{Node: "node-1", ID: "id-node-1"}, {Node: "node-2", ID: "id-node-2"}}}
		}, 7 * sec, true},
		"quorum, and who may have acknowledged has another disk": {func(_ *decide.Config, o *decide.Observation) {
			o.Consul.View.Sync.Value = decide.Sync{Mode: decide.Quorum, Copies: []decide.Copy{{Node: "node-2", ID: "lost"}}}
		}, 20 * sec, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, seen := scene("node-1")
			if tc.change != nil {
				tc.change(&cfg, &seen)
			}
			state, actions := decide.Decide(cfg, decide.State{}, seen)
			got := takes(actions)
			for now := seen.Now + sec/4; now <= 100*sec+tc.after && !got; now += sec / 4 {
				state, actions = decide.Decide(cfg, state, at(seen, now))
				got = takes(actions)
			}
			if got != tc.want {
				t.Errorf("takes the lease: got %v, want %v (%s: %s)", got, tc.want, state.Status.Role, state.Status.Why)
			}
		})
	}
}

func TestAPrimaryWhoseLeaseRanOutIsKilled(t *testing.T) {
	for name, tc := range map[string]struct {
		deadline decide.Instant
		want     bool
	}{"in time": {103 * sec, false}, "past": {99 * sec, true}} {
		t.Run(name, func(t *testing.T) {
			cfg, seen := scene("node-0")
			seen.Local.Guard.Deadline = tc.deadline
			_, actions := decide.Decide(cfg, decide.State{}, seen)
			got := false
			for _, a := range actions {
				got = got || a.Kind() == decide.KindFence
			}
			if got != tc.want {
				t.Errorf("fenced: got %v, want %v", got, tc.want)
			}
		})
	}
}
