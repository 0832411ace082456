package decide

import "encoding/json"

// Leader is the lease: the value of the key `leader`.
type Leader struct {
	Holder   Identity `json:"holder"`
	Node     Node     `json:"node"`
	Address  string   `json:"address"`
	Epoch    uint64   `json:"epoch"` // one more at each change of the holder
	Beat     uint64   `json:"beat"`
	Released bool     `json:"released"` // no server accepts writes: who takes it need not wait

	// Primary is the data that last accepted writes, or was about to: written
	// before the promotion. A holder that is not Primary is still taking over.
	Primary Identity `json:"primary"`
	// Previous is the copy that was Primary before: it has all that was
	// acknowledged until then, so it can stand in for Primary's own copy where
	// that is listed in Sync.
	Previous Copy `json:"previous"`
	// Position is how far Primary had come at the beat; Fork is where its
	// timeline left the one before (zero on the first).
	Position Position `json:"position"`
	Fork     Position `json:"fork"`
	// Reserved is the highest timeline that any node may have made. A promotion
	// makes exactly the number reserved for it, so that no two servers ever give
	// the same number to different histories, which pg_rewind could not tell apart.
	Reserved uint32 `json:"reserved"`
	// Final, with Released: Primary ended at Position exactly, so whoever has
	// that much misses nothing.
	Final bool `json:"final,omitempty"`
	// Heir, with Released: the node that should take it.
	Heir Node `json:"heir,omitempty"`
}

// Member is a node that may challenge, and its data.
type Member struct {
	Node    Node     `json:"-"`
	ID      Identity `json:"id"`
	Address string   `json:"address"`
}

// Members is the value of the key `members`, ordered by node; only the holder
// of the lease changes it.
type Members []Member

// Of returns the member on node.
func (m Members) Of(node Node) (Member, bool) {
	for _, one := range m {
		if one.Node == node {
			return one, true
		}
	}
	return Member{}, false
}

// Has says whether this copy of the data is a member.
func (m Members) Has(node Node, id Identity) bool {
	one, found := m.Of(node)
	return found && id != "" && one.ID == id
}

// MarshalJSON writes {"nodes": {"node-0": {"id": …, "address": …}}}.
func (m Members) MarshalJSON() ([]byte, error) {
	nodes := make(map[Node]Member, len(m))
	for _, one := range m {
		nodes[one.Node] = one
	}
	return json.Marshal(map[string]any{"nodes": nodes})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Members) UnmarshalJSON(data []byte) error {
	var wire struct {
		Nodes map[Node]Member `json:"nodes"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	*m = (*m)[:0]
	for node, one := range wire.Nodes {
		one.Node = node
		*m = append(*m, one)
	}
	sortMembers(*m)
	return nil
}

// Copy is one copy of the data on a node.
type Copy struct {
	Node Node     `json:"node"`
	ID   Identity `json:"id"`
}

// Sync is the value of the key `sync`. With Mode Quorum, every acknowledged
// write is on at least one of Copies: a candidate must be no less advanced than
// all of them. The primary's own copy is listed while it alone may hold what was
// acknowledged before its promotion; Leader.Previous can stand in for it.
type Sync struct {
	Mode   Mode   `json:"mode"`
	Copies []Copy `json:"nodes"`
}

// Initialized is the value of the key `initialized`, set once.
type Initialized struct {
	System string `json:"system_identifier"`
}

// Registration is the value of the key `nodes/<node>`, written by that node
// when it changes.
type Registration struct {
	Node       Node     `json:"node"`
	ID         Identity `json:"id"` // empty while the node has no data
	Address    string   `json:"address"`
	StatusPort int      `json:"status_port"`
}

// Alias is what the synthetic catalog node of the deployment names.
type Alias struct {
	Primary  Node
	Address  string // the primary's
	Replicas []Node // healthy standbys, ordered
}

// Entry is a key's value with its ModifyIndex; an Index of 0 means that the key is absent.
type Entry[T any] struct {
	Index uint64
	Value T
}

// View is one linearizable reading of everything below holdfast/<deployment>/
// (never ?stale), or the one that came with a transaction.
type View struct {
	AskedAt    Instant // before the request was sent
	AnsweredAt Instant // after the answer was received; 0: there never was one

	Leader      Entry[Leader]
	Members     Entry[Members]
	Sync        Entry[Sync]
	Initialized Entry[Initialized]
	Nodes       []Registration // ordered by node
	Alias       Alias          // read from the catalog, may be a little older
}

// Consul is what the keeper knows of Consul.
type Consul struct {
	View View // the latest answer
	// FailingSince is when the first of the attempts began that have failed
	// since the last answer; 0 when the last attempt was answered.
	FailingSince Instant
}
