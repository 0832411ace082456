package decide

import "time"

// Node is a node's stable name, such as node-0.
type Node string

// Identity names one copy of the data: a UUID made together with the data
// directory (by initdb or a clone) and kept inside it. A node whose disk was
// replaced has another one, and so holds no lease and is no member.
type Identity string

// Mode is how commits are replicated.
type Mode string

// The modes.
const (
	Async  Mode = "async"  // a commit waits for nobody
	Quorum Mode = "quorum" // a commit waits for one standby
)

// Config is what a node knows from its rendered configuration.
type Config struct {
	Node       Node
	Address    string // PostgreSQL's, without port
	StatusPort int
	Mode       Mode

	Tick  time.Duration // Decide is called at least this often
	Renew time.Duration // between two renewals of the lease
	Hold  time.Duration // a holder's server is killed this long after the start of its last renewal
	Lease time.Duration // a challenger takes the lease after the same index for this long

	// MaxLag is how many bytes of log a candidate may miss of what the lost
	// primary last published. One that misses more never takes over by itself.
	MaxLag LSN
	// PeerFresh is how old a peer's answer may be and still count as seen.
	PeerFresh time.Duration
	// Hung is how long the server of a primary may fail to answer a trivial
	// query, with its processes alive, before it is killed.
	Hung time.Duration
	// Heir is how long others leave a released lease to the node it was
	// released for, and how long a holder that released it waits for a taker
	// before it starts its own server again.
	Heir time.Duration
	// SyncGrace is how long a standby may be gone before it leaves the
	// acknowledging set.
	SyncGrace time.Duration
	// Stuck is how long a standby may neither stream nor replay, although its
	// primary answers, before it is cloned anew; after StuckRestart its server is
	// started again, once.
	Stuck, StuckRestart time.Duration
	// StopWithin bounds the clean stop of a switchover or drain; afterwards the server is killed.
	StopWithin time.Duration
	// TakeoverWithin bounds a takeover from lease to promotion; afterwards the lease is given back.
	TakeoverWithin time.Duration

	// Rules that the simulation switches off to show that it would notice.
	WithoutFence, WithoutReceiverWait, WithoutPromises bool
}

// Defaults returns the timing that FAILOVER's measurements led to.
func Defaults(node Node, address string, mode Mode) Config {
	return Config{
		Node: node, Address: address, Mode: mode,
		Tick: 250 * time.Millisecond, Renew: time.Second, Hold: 5 * time.Second, Lease: 6 * time.Second,
		MaxLag: 16 << 20, PeerFresh: 2500 * time.Millisecond, Hung: 10 * time.Second,
		Heir: 2 * time.Second, SyncGrace: 3 * time.Second, Stuck: time.Minute, StuckRestart: 3 * time.Second, StatusPort: 8432,
		StopWithin: 20 * time.Second, TakeoverWithin: 15 * time.Second,
	}
}
