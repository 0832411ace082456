package decide

import "time"

// Role is what a node is, in one word, for people and for peers.
type Role string

// The roles.
const (
	Uninitialised Role = "uninitialised" // no data, or none that are usable
	Bootstrapping Role = "bootstrapping" // runs initdb, holding the lease
	Sole          Role = "sole"          // primary and only member
	Primary       Role = "primary"       // holds the lease, accepts writes
	StandbyRole   Role = "standby"
	TakingOver    Role = "taking over" // holds the lease, not yet promoted
	Restarting    Role = "restarting"  // holds the lease, starts its own server again
	HandingOver   Role = "handing over"
	Fenced        Role = "fenced" // was primary, was killed
	Rejoining     Role = "rejoining"
	Draining      Role = "draining"
	Waiting       Role = "waiting" // for Consul, a primary or a person; Status.Why says for what
)

// Status is the answer of GET /v1/status that peers judge by. Decide returns the
// node's own in State.Status; the keeper adds what only people read.
type Status struct {
	Node  Node     `json:"node"`
	ID    Identity `json:"id"`
	Role  Role     `json:"role"`
	Why   string   `json:"why"`
	Epoch uint64   `json:"epoch"` // the highest seen

	// Position is valid when Known: the server runs, or has stopped and its end is exact.
	Known    bool     `json:"known"`
	Position Position `json:"position"`
	// SeenAt is when Position was read, by the node's own clock; Age, which who
	// answers fills in, how long that was before the answer, in nanoseconds.
	SeenAt  Instant       `json:"-"`
	Age     time.Duration `json:"position_age"`
	History []Fork        `json:"history"`
	// Writable: accepts writes under the lease of Epoch.
	Writable  bool `json:"writable"`
	Streaming bool `json:"streaming"`
	Upstream  Node `json:"upstream"`
	// Detached is the epoch for which the walreceiver was ended; it is not
	// begun again for a lower one. Settled: and is gone, and what was received is replayed,
	// so that Position is final for that epoch.
	Detached uint64 `json:"detached"`
	Settled  bool   `json:"settled"`
	// Willing: would and could take over (member, not draining, no promise given, data in order).
	Willing bool `json:"willing"`
	// Promised: a promise not to challenge is in force.
	Promised bool `json:"promised"`
	// Disk is how much room its disk has.
	Disk Room `json:"disk"`
	// Leaving: stops, or is to be removed from the cluster.
	Leaving bool `json:"leaving"`
}

// Peer is the latest answer of another registered node.
type Peer struct {
	Node       Node
	AskedAt    Instant // before the request of the latest answer was sent; 0: none yet
	AnsweredAt Instant
	Status     Status
	// Failing: the latest attempt failed.
	Failing bool
}

// seenAt is a time by this node's clock after which the peer's position was read:
// not the question's, for the answer may be older. The sixteenth makes up for clocks
// of unequal rate.
func (p *Peer) seenAt() Instant {
	age := p.Status.Age
	return p.AskedAt.Add(-age - age/16)
}
