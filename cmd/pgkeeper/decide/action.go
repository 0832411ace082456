package decide

import "time"

// Kind tells actions apart.
type Kind uint8

// The kinds of actions.
const (
	KindWrite Kind = iota + 1
	KindRegister
	KindAskPromise
	KindAskDetach
	KindExtendFence
	KindFence
	KindInitDB
	KindStart
	KindStopCleanly
	KindPromote
	KindDetach
	KindFollow
	KindSetSync
	KindCheckpoint
	KindCreateSlot
	KindDropSlot
	KindAdvanceSlots
	KindRewind
	KindClone
	KindRemember
	KindComparePeers
	KindReply
	kindEnd
)

// Kinds is a set of kinds.
type Kinds uint32

// With returns the set with k in it.
func (s Kinds) With(k Kind) Kinds { return s | 1<<k }

// Without returns the set with k removed.
func (s Kinds) Without(k Kind) Kinds { return s &^ (1 << k) }

// Has says whether k is in the set.
func (s Kinds) Has(k Kind) bool { return s&(1<<k) != 0 }

// Action is one effect that Decide asks for.
type Action interface{ Kind() Kind }

// Purpose says why the lease is written.
type Purpose uint8

// The purposes of a Write.
const (
	TakeLease Purpose = iota + 1
	RenewLease
	ReleaseLease // nothing accepts writes any more
	GiveBack     // a takeover is abandoned before the promotion
)

// Write is the one transaction that changes Consul: it replaces the key `leader`
// by compare-and-set and carries, in the same transaction, every other change,
// so that nobody but the holder can make one, however late a request arrives.
// The transaction ends with a reading of the whole prefix, which is the View of
// its Result. When refused, the keeper reads afresh for the Result's View.
//
// Every attempt has a time-out below Config.Hold/3. Only one Write runs at a time.
type Write struct {
	Purpose Purpose
	Why     string
	Leader  Entry[Leader] // Index: the one to replace; 0: must be absent

	// Check, when not nil, are indexes that must be unchanged (0: absent).
	Check *Unchanged

	Initialized *Initialized    // set once (cas 0)
	Members     *Entry[Members] // Index: the one to replace
	Sync        *Entry[Sync]
	Alias       *Alias // the catalog's node and services, set without compare
}

// Unchanged are the indexes that a TakeLease relies on.
type Unchanged struct{ Members, Sync uint64 }

// Register writes this node's own registration.
type Register struct{ Registration Registration }

// AskPromises asks each of these nodes not to challenge for Config.Lease.
// The answers come back as Results one by one, with the node and the time
// before its request was sent. Time-out: Config.Renew.
type AskPromises struct {
	Nodes  []Node
	Holder Identity
	Epoch  uint64
}

// AskDetaches asks these nodes to end their walreceivers. Nothing comes back but
// their status.
type AskDetaches struct {
	Nodes  []Node
	Holder Identity
	Epoch  uint64
}

// ComparePeers polls the status of all registered nodes now instead of at the next interval.
type ComparePeers struct{}

// ExtendFence sets the guard's deadline; Forever disarms it. The guard refuses
// to prolong a deadline that has passed.
type ExtendFence struct{ Deadline Instant }

// Fence kills the server at once and confirms that no process is left.
type Fence struct{ Why string }

// InitDB makes a new data directory with a new identity. It removes leftovers
// of an unfinished one, never data that are Present.
type InitDB struct{}

// Start starts the server through the guard. A primary starts with its
// deadline, which the guard refuses when it has passed; a standby starts with
// standby.signal (written when missing), without upstream, not armed.
type Start struct {
	Standby  bool
	Deadline Instant
	// SyncNames is synchronous_standby_names from the first moment on.
	SyncNames []Node
}

// StopCleanly stops the server, fast mode: clients are ended, standbys get the
// shutdown checkpoint. After Within it is killed.
type StopCleanly struct{ Within time.Duration }

// Promote makes the standby the primary. The guard is armed before it is asked
// for; SyncNames is set before. The new timeline is exactly Timeline: PostgreSQL
// takes the first number without a history file, so the effect puts history files
// of the numbers skipped into pg_wal.
type Promote struct {
	Timeline  uint32
	SyncNames []Node
	// Slots are made before: a standby that asks for one that is not there yet
	// tries again only after a while, and with quorum commit nobody can write until then.
	Slots []Node
}

// Detach clears primary_conninfo, reloads, and ends when pg_stat_wal_receiver is
// empty and all that was received is replayed.
type Detach struct{ Epoch uint64 }

// Follow points primary_conninfo (and primary_slot_name) at a primary and reloads.
type Follow struct {
	Node    Node
	Address string
	Epoch   uint64
}

// SetSyncNames sets synchronous_standby_names to ANY 1 (names), or to nothing,
// and ends when every process of the server has it.
type SetSyncNames struct{ Names []Node }

// Checkpoint runs CHECKPOINT.
type Checkpoint struct{}

// CreateSlot makes the physical slot of a standby.
type CreateSlot struct{ Node Node }

// DropSlot drops the slot of a node that is gone.
type DropSlot struct{ Node Node }

// AdvanceSlots has a standby's slots hold no more log than the standby keeps for
// itself, and drops those that have lost what they held.
type AdvanceSlots struct{}

// Rewind makes the data of a former primary or a diverged standby a standby's of
// Node: CHECKPOINT there, the marker, single-user recovery when it was not shut
// down, pg_rewind, our configuration and memory, standby.signal, marker removed.
type Rewind struct {
	Node    Node
	Address string
	Epoch   uint64
}

// Clone replaces the data by a copy of Node's with a new identity. Old data are
// kept until the new ones stream, unless the disk is too small for both.
type Clone struct {
	Node    Node
	Address string
	Epoch   uint64
}

// Remember writes the keeper's memory to the data directory and syncs it.
type Remember struct{ Memory Memory }

// Reply answers a request.
type Reply struct {
	ID      uint64
	Granted bool
	Why     string
}

func (Write) Kind() Kind        { return KindWrite }
func (Register) Kind() Kind     { return KindRegister }
func (AskPromises) Kind() Kind  { return KindAskPromise }
func (AskDetaches) Kind() Kind  { return KindAskDetach }
func (ComparePeers) Kind() Kind { return KindComparePeers }
func (ExtendFence) Kind() Kind  { return KindExtendFence }
func (Fence) Kind() Kind        { return KindFence }
func (InitDB) Kind() Kind       { return KindInitDB }
func (Start) Kind() Kind        { return KindStart }
func (StopCleanly) Kind() Kind  { return KindStopCleanly }
func (Promote) Kind() Kind      { return KindPromote }
func (Detach) Kind() Kind       { return KindDetach }
func (Follow) Kind() Kind       { return KindFollow }
func (SetSyncNames) Kind() Kind { return KindSetSync }
func (Checkpoint) Kind() Kind   { return KindCheckpoint }
func (CreateSlot) Kind() Kind   { return KindCreateSlot }
func (DropSlot) Kind() Kind     { return KindDropSlot }
func (AdvanceSlots) Kind() Kind { return KindAdvanceSlots }
func (Rewind) Kind() Kind       { return KindRewind }
func (Clone) Kind() Kind        { return KindClone }
func (Remember) Kind() Kind     { return KindRemember }
func (Reply) Kind() Kind        { return KindReply }
