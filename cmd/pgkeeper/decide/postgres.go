package decide

// Data is what lies on the disk.
type Data struct {
	// Present: a complete data directory, made by initdb or a clone that ended.
	// Leftovers of an unfinished one do not count; InitDB and Clone remove them.
	Present  bool
	Identity Identity
	System   string // system identifier
	// Standby: standby.signal is there. Without it the data are a primary's.
	Standby bool
	// Clean: the control file says that the server was shut down properly.
	Clean bool
	// End is how far the data reach while no server runs: the control file's
	// timeline, and the end of the valid log when known, else the last position
	// known (checkpoint or minimum recovery point). Exact says that it is the end.
	End   Position
	Exact bool
	// Ended: read after the last server had ended, so that nothing here is older.
	Ended bool
	// History lists the forks of the timelines that the data went through.
	History []Fork
	// Rewinding: the marker of an unfinished rewind is there. Such data can only be replaced.
	Rewinding bool
	// Rewound is the rewind after which the server has not answered yet: it needs
	// log of that node first. No Node: nothing is missing.
	Rewound Rewind
	Memory
}

// Memory is the keeper's own small file in the data directory, written and
// synced by Remember.
type Memory struct {
	// Announced: `initialized` names this data's system; what initdb made
	// counts from then on and is never thrown away.
	Announced bool `json:"announced"`
	// Sole: this copy is the only member, so that it may run without a lease.
	// Cleared before a second member is admitted.
	Sole bool `json:"sole"`
}

// ServerState is the state of PostgreSQL's processes.
type ServerState uint8

// The states. Only Gone is proof that nothing can commit: the guard has
// confirmed that no process of the server is left.
const (
	Gone     ServerState = iota
	Starting             // the postmaster runs but does not accept queries yet
	Up                   // accepts queries
	Stopping             // a clean stop is under way
	Remains              // the postmaster has gone, other processes are or may be left
)

func (s ServerState) String() string {
	return [...]string{"gone", "starting", "up", "stopping", "remains"}[s]
}

// Server is what runs. Fields after State are those last read and only hold for Up.
type Server struct {
	State ServerState
	// AnsweredAt is when the look that last succeeded began.
	AnsweredAt Instant
	InRecovery bool
	Timeline   uint32
	// Written is a primary's flushed position. A standby has Received (0 when
	// none) and Replayed instead.
	Written, Received, Replayed LSN
	// Drained: all log that is on the disk has been replayed; the server waits for more.
	Drained bool
	History []Fork

	// ReceiverGone: pg_stat_wal_receiver is empty. Upstream is the node that
	// primary_conninfo names (empty: none) and UpstreamEpoch the epoch given with it.
	ReceiverGone  bool
	Streaming     bool // the receiver's status is streaming
	Upstream      Node
	UpstreamEpoch uint64
	// LogLost: Upstream has removed log that this standby still needs.
	LogLost bool

	// Standbys as a primary sees them; SyncNames are the nodes of
	// synchronous_standby_names as every process of the server has them (the
	// setting was reloaded and pg_stat_replication shows it). Slots by node.
	Standbys  []Standby
	SyncNames []Node
	Slots     []Node
}

// Standby is one row of pg_stat_replication.
type Standby struct {
	Node      Node
	Streaming bool
	Flushed   LSN
}

// Position returns how far a running server has come: what a primary has
// written; of a standby the greater of received and replayed, since the received
// position can be NULL or step back to a segment's start.
func (s Server) Position() Position {
	if !s.InRecovery {
		return Position{s.Timeline, s.Written}
	}
	return Position{s.Timeline, max(s.Received, s.Replayed)}
}

// Guard is the guard's answer to the keeper.
type Guard struct {
	// Reachable: the guard answers. Without it no server is started, and what
	// is left of one is killed by the keeper itself.
	Reachable bool
	// Deadline after which the guard kills the server; Forever: it is not armed.
	Deadline Instant
}

// Local is this node.
type Local struct {
	Data   Data
	Server Server
	Guard  Guard
	Disk   Disk
}
