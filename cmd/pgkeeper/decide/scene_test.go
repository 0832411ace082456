package decide_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

const sec = decide.Instant(time.Second)

// began is what the clock of a scene's node shows when its keeper begins.
const began = 1000 * sec

var all = []decide.Node{"node-0", "node-1", "node-2"}

// scene is a cluster of three as the keeper of one node sees it. All is well at
// first: node-0 is the primary of epoch 3, the others stream from it.
type scene struct {
	cfg   decide.Config
	state decide.State
	seen  decide.Observation

	held   bool // writes of Consul stay under way until they are ended
	consul bool // answers
	beats  bool // the holder, when it is another node, renews
	hung   bool // the server answers no query
	silent []decide.Node
	asked  []decide.Action // all that was asked for
}

// as makes the scene of a node.
func as(node decide.Node, mode decide.Mode) *scene {
	s := &scene{cfg: decide.Defaults(node, address(node), mode), consul: true, beats: true}
	s.seen.Now = began
	view := &s.seen.Consul.View
	view.Leader = decide.Entry[decide.Leader]{Index: 50, Value: decide.Leader{
		Holder: id("node-0"), Node: "node-0", Address: address("node-0"), Epoch: 3, Beat: 9, Primary: id("node-0"), Reserved: 1, Position: at(1, 1000)}}
	view.Initialized = decide.Entry[decide.Initialized]{Index: 5, Value: decide.Initialized{System: "s"}}
	view.Members.Index, view.Sync.Index = 20, 30
	view.Sync.Value.Mode = mode
	view.Alias = decide.Alias{Primary: "node-0", Address: address("node-0"), Replicas: []decide.Node{"node-1", "node-2"}}
	for _, n := range all {
		view.Members.Value = append(view.Members.Value, decide.Member{Node: n, ID: id(n), Address: address(n)})
		view.Nodes = append(view.Nodes, decide.Registration{Node: n, ID: id(n), Address: address(n), StatusPort: 8432})
		if n != "node-0" && mode == decide.Quorum {
			view.Sync.Value.Copies = append(view.Sync.Value.Copies, copyOn(n))
		}
		if n != node {
			s.seen.Peers = append(s.seen.Peers, decide.Peer{Node: n, Status: statusOf(n)})
		}
	}
	local := &s.seen.Local
	local.Guard = decide.Guard{Reachable: true, Deadline: decide.Forever}
	local.Data = decide.Data{Present: true, Identity: id(node), System: "s", Standby: node != "node-0", End: at(1, 1000), Memory: decide.Memory{Announced: true}}
	local.Server = decide.Server{State: decide.Up, InRecovery: true, Timeline: 1, Received: 1000, Replayed: 1000, Drained: true, Streaming: true,
		Upstream: "node-0", UpstreamEpoch: 3}
	for _, n := range all {
		if n != node {
			local.Server.Slots = append(local.Server.Slots, n)
		}
	}
	if node == "node-0" {
		local.Guard.Deadline = began + 5*sec
		local.Server = decide.Server{State: decide.Up, Timeline: 1, Written: 1000, Slots: []decide.Node{"node-1", "node-2"}}
		for _, n := range all[1:] {
			local.Server.Standbys = append(local.Server.Standbys, decide.Standby{Node: n, Streaming: true, Flushed: 1000})
			if mode == decide.Quorum {
				local.Server.SyncNames = append(local.Server.SyncNames, n)
			}
		}
	}
	return s
}

func id(n decide.Node) decide.Identity { return decide.Identity("id-" + n) }
func address(n decide.Node) string     { return "addr-" + string(n) }
func copyOn(n decide.Node) decide.Copy { return decide.Copy{Node: n, ID: id(n)} }
func at(timeline uint32, lsn decide.LSN) decide.Position {
	return decide.Position{Timeline: timeline, LSN: lsn}
}

// statusOf is what a node says of itself when all is well.
func statusOf(n decide.Node) decide.Status {
	st := decide.Status{Node: n, ID: id(n), Epoch: 3, Known: true, Position: at(1, 1000)}
	if n == "node-0" {
		st.Role, st.Writable = decide.Primary, true
	} else {
		st.Role, st.Streaming, st.Upstream, st.Willing = decide.StandbyRole, true, "node-0", true
	}
	return st
}

func (s *scene) view() *decide.View     { return &s.seen.Consul.View }
func (s *scene) leader() *decide.Leader { return &s.seen.Consul.View.Leader.Value }
func (s *scene) server() *decide.Server { return &s.seen.Local.Server }
func (s *scene) data() *decide.Data     { return &s.seen.Local.Data }

// peer returns a node's answer, to be changed.
func (s *scene) peer(n decide.Node) *decide.Status {
	for i := range s.seen.Peers {
		if s.seen.Peers[i].Node == n {
			return &s.seen.Peers[i].Status
		}
	}
	panic("no peer " + string(n))
}

// lose has nodes answer no more.
func (s *scene) lose(nodes ...decide.Node) { s.silent = append(s.silent, nodes...) }

// primaryDies ends node-0 with everything on it, just after a last beat, as the others see it.
func (s *scene) primaryDies() {
	s.decide()
	s.beats = false
	s.lose("node-0")
	s.peer("node-0").Writable = false
	s.server().Streaming, s.server().ReceiverGone = false, true
}

// gone ends this node's server.
func (s *scene) gone(end decide.Position, exact bool) {
	s.seen.Local.Server = decide.Server{State: decide.Gone, Slots: s.server().Slots}
	s.data().End, s.data().Exact = end, exact
}

// pass lets time go by and decides every tick, and once without.
func (s *scene) pass(d time.Duration) []decide.Action {
	var asked []decide.Action
	for end := s.seen.Now.Add(d); ; s.seen.Now = s.seen.Now.Add(s.cfg.Tick) {
		asked = append(asked, s.decide()...)
		if s.seen.Now >= end {
			return asked
		}
	}
}

// leap moves the clock without a decision.
func (s *scene) leap(d time.Duration) { s.seen.Now = s.seen.Now.Add(d) }

// decide calls Decide once, with all that answers answering now.
func (s *scene) decide() []decide.Action {
	now := s.seen.Now
	if s.consul {
		if view := s.view(); s.beats && view.Leader.Index != 0 && view.Leader.Value.Node != s.cfg.Node {
			view.Leader.Index++
			view.Leader.Value.Beat++
		}
		s.view().AskedAt, s.view().AnsweredAt, s.seen.Consul.FailingSince = now, now, 0
	} else if s.seen.Consul.FailingSince == 0 {
		s.seen.Consul.FailingSince = now
	}
	s.seen.Peers = slices.Clone(s.seen.Peers)
	for i := range s.seen.Peers {
		p := &s.seen.Peers[i]
		if p.Failing = slices.Contains(s.silent, p.Node); !p.Failing {
			p.AskedAt, p.AnsweredAt = now, now
		}
	}
	if s.server().State == decide.Up && !s.hung {
		s.server().AnsweredAt = now
	}
	return s.decideNow()
}

// decideNow calls Decide with the observation as it is.
func (s *scene) decideNow() []decide.Action {
	state, actions := decide.Decide(s.cfg, s.state, s.seen)
	s.state = state
	s.seen.Results, s.seen.Requests = nil, nil
	s.asked = append(s.asked, actions...)
	for _, a := range actions {
		s.begin(a)
	}
	return actions
}

// begin starts an action: what is quick ends at once, the rest is under way until ended.
func (s *scene) begin(a decide.Action) {
	switch a := a.(type) {
	case decide.Reply, decide.ComparePeers, decide.AskDetaches, decide.AdvanceSlots:
		return
	case decide.ExtendFence:
		s.seen.Local.Guard.Deadline = a.Deadline
		return
	case decide.Register:
		if s.consul {
			s.register(a.Registration)
		}
		return
	case decide.Write:
		s.seen.Running = s.seen.Running.With(a.Kind())
		if s.consul && !s.held {
			s.end(decide.KindWrite, decide.OK)
		}
		return
	}
	s.seen.Running = s.seen.Running.With(a.Kind())
}

// end ends the latest action of a kind. A Write that succeeds is done to Consul.
func (s *scene) end(kind decide.Kind, outcome decide.Outcome) {
	s.seen.Running = s.seen.Running.Without(kind)
	r := decide.Result{Action: s.latest(kind), Outcome: outcome, Started: s.seen.Now, Last: true}
	if w, ok := r.Action.(decide.Write); ok && outcome == decide.OK {
		view := *s.view()
		s.apply(&view, w)
		view.AskedAt, view.AnsweredAt = s.seen.Now, s.seen.Now
		*s.view() = view
		r.View = &view
	}
	s.seen.Results = append(s.seen.Results, r)
}

// apply is Consul's part of a write that is not refused.
func (s *scene) apply(view *decide.View, w decide.Write) {
	index := view.Leader.Index + 1
	view.Leader = decide.Entry[decide.Leader]{Index: index, Value: w.Leader.Value}
	if w.Initialized != nil {
		view.Initialized = decide.Entry[decide.Initialized]{Index: index, Value: *w.Initialized}
	}
	if w.Members != nil {
		view.Members = decide.Entry[decide.Members]{Index: index, Value: w.Members.Value}
	}
	if w.Sync != nil {
		view.Sync = decide.Entry[decide.Sync]{Index: index, Value: w.Sync.Value}
	}
	if w.Alias != nil {
		view.Alias = *w.Alias
	}
}

// register is Consul's part of a registration.
func (s *scene) register(r decide.Registration) {
	view := s.view()
	view.Nodes = slices.Clone(view.Nodes)
	for i := range view.Nodes {
		if view.Nodes[i].Node == r.Node {
			view.Nodes[i] = r
		}
	}
}

// latest returns the newest action of a kind.
func (s *scene) latest(kind decide.Kind) decide.Action {
	for i := len(s.asked) - 1; i >= 0; i-- {
		if s.asked[i].Kind() == kind {
			return s.asked[i]
		}
	}
	panic(fmt.Sprintf("kind %d was never asked for", kind))
}

// ask brings a request with the next decision.
func (s *scene) ask(q decide.Request) {
	q.ID = 7
	s.seen.Requests = append(s.seen.Requests, q)
}

// restart has the keeper begin anew, with an empty memory.
func (s *scene) restart() {
	s.state = decide.State{}
	s.seen.Results, s.seen.Requests, s.seen.Running = nil, nil, 0
}

// steady lets the keeper run for a while first, so that it knows what one knows
// that did not begin just now.
func (s *scene) steady() *scene {
	s.pass(8 * time.Second)
	s.leap(s.cfg.Tick)
	s.asked = nil
	return s
}

// told renders actions, each once, but for those of every second.
func told(actions []decide.Action) []string {
	lines := []string{}
	for _, a := range actions {
		line := tell(a)
		if line != "" && line != "renew" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// tell renders an action, unless it is one that comes round again and again.
func tell(action decide.Action) string {
	switch a := action.(type) {
	case decide.ExtendFence, decide.ComparePeers, decide.AdvanceSlots:
		return ""
	case decide.Write:
		return tellWrite(a)
	case decide.Register:
		return fmt.Sprintf("register %q", a.Registration.ID)
	case decide.AskPromises:
		return fmt.Sprintf("ask %v for promises", a.Nodes)
	case decide.AskDetaches:
		return fmt.Sprintf("ask %v to detach", a.Nodes)
	case decide.Fence:
		return "fence: " + a.Why
	case decide.Start:
		if a.Standby {
			return "start standby"
		}
		return strings.TrimSuffix(fmt.Sprintf("start primary %v", a.SyncNames), " []")
	case decide.Promote:
		return strings.TrimSuffix(fmt.Sprintf("promote to %d %v", a.Timeline, a.SyncNames), " []")
	case decide.Follow:
		return fmt.Sprintf("follow %s", a.Node)
	case decide.SetSyncNames:
		return fmt.Sprintf("wait for %v", a.Names)
	case decide.CreateSlot:
		return fmt.Sprintf("create slot %s", a.Node)
	case decide.DropSlot:
		return fmt.Sprintf("drop slot %s", a.Node)
	case decide.Rewind:
		return fmt.Sprintf("rewind to %s", a.Node)
	case decide.Clone:
		return fmt.Sprintf("clone %s", a.Node)
	case decide.Remember:
		return fmt.Sprintf("remember %+v", a.Memory)
	case decide.Reply:
		if a.Granted {
			return "grant"
		}
		return "refuse: " + a.Why
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", action), "decide.")
}

// tellWrite renders what a transaction changes.
func tellWrite(w decide.Write) string {
	l := &w.Leader.Value
	text := [...]string{decide.TakeLease: "take", decide.RenewLease: "renew", decide.ReleaseLease: "release", decide.GiveBack: "give back"}[w.Purpose]
	if w.Purpose == decide.TakeLease {
		text += fmt.Sprintf(" %d", l.Epoch)
		if l.Primary == l.Holder {
			text += ", primary"
		}
	}
	if l.Released {
		text += fmt.Sprintf(" for %q", l.Heir)
	}
	if w.Initialized != nil {
		text += ", initialized"
	}
	if w.Members != nil {
		var nodes []decide.Node
		for _, m := range w.Members.Value {
			nodes = append(nodes, m.Node)
		}
		text += fmt.Sprintf(", members %v", nodes)
	}
	if w.Sync != nil {
		var nodes []decide.Node
		for _, c := range w.Sync.Value.Copies {
			nodes = append(nodes, c.Node)
		}
		text += fmt.Sprintf(", sync %s %v", w.Sync.Value.Mode, nodes)
	}
	if w.Alias != nil {
		text += fmt.Sprintf(", alias %s %v", w.Alias.Primary, w.Alias.Replicas)
	}
	return text
}

// lines compares what was asked for.
func lines(t *testing.T, s *scene, got []decide.Action, want ...string) {
	t.Helper()
	if text := told(got); !slices.Equal(text, want) {
		t.Errorf("actions at %s (%s: %s):\n got %q\nwant %q", s.seen.Now, s.state.Status.Role, s.state.Status.Why, text, want)
	}
}
