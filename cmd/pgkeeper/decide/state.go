package decide

// State is what a keeper carries from one decision to the next. Its zero value
// is a keeper that has just begun. It is in memory only; callers copy it freely
// and read Status.
type State struct {
	Status Status

	began Instant // the first decision
	last  Instant // the latest
	awake Instant // since when decisions have come without a long pause

	view       View    // the newest reading of Consul
	leaderSeen Instant // when this index of the lease was first received here

	sent      Write   // under way; Purpose 0: none
	doubt     doubt   // writes whose answers were lost
	lastWrite Instant // when the latest was sent
	wroteOK   bool    // the latest has succeeded
	plain     bool    // the next write leaves the alias out: with it, one has failed

	renewedAt  Instant // start of the last write that confirmed the lease
	leaseUntil Instant // renewedAt + hold
	tookEpoch  uint64  // the lease of this epoch was taken by this process
	tookAt     Instant
	inherited  inherited // what this node was named primary with

	got           []gotPromise // promises received under the lease of gotEpoch
	gotEpoch      uint64
	askedAt       Instant // when promises were last asked for
	promisedUntil Instant // a promise given

	detached uint64 // walreceiver ended for this epoch, none begun for a lower one

	goneSince     Instant  // the server has been seen gone since
	written       Position // last seen of the running primary
	promoting     bool     // Promote was asked for and the server has neither ended nor become primary
	promoteBegan  Instant
	promoteFailed bool
	starting      bool // Start was asked for, and the server has not been seen up since
	startFailures int
	startBegan    Instant
	rewinds       int  // failed rewinds
	keepLocal     bool // nobody took the released lease: start here
	needClone     bool
	left          bool    // the data were seen to have left the leader's history
	retryAt       Instant // no repetition of a failed action before
	standing      progress

	sync       syncProgress
	streamed   []streamed // when a standby was last seen streaming
	removing   []Node     // members to be removed
	disarmedAt Instant    // the guard was last told to forget its deadline
	binding    bool       // the lease is to bind this sole member, which is about to admit another
	alone      bool       // nobody is admitted until nobody else streams
	handover   handover
	fullSince  Instant // this primary's disk has been full since
	leftFull   Instant // a switchover away from a full disk last began
	asked      uint64  // the request of a switchover whose lease was released
	draining   bool
	drainID    uint64
	forced     Instant // an operator's forced failover counts until then
	comparing  Instant // peers were last polled out of turn
	detachesAt Instant // survivors were last asked to end their walreceivers
	slotsAt    Instant // a standby's slots were last advanced

	registration Registration // last asked for
	registeredAt Instant
}

// doubt is what writes would change whose answers were lost: each may have
// happened, or may still happen. All of them replace the lease at the same
// index, so none can any more once it has moved on.
type doubt struct {
	any                 bool
	index               uint64
	take, release, sync bool
	members             Members // who would be members
}

// add takes another write in.
func (d *doubt) add(w *Write) {
	d.any, d.index = true, w.Leader.Index
	d.take = d.take || w.Purpose == TakeLease
	d.release = d.release || w.Purpose == ReleaseLease || w.Purpose == GiveBack
	d.sync = d.sync || w.Sync != nil
	if w.Members != nil {
		d.members = append(d.members[:len(d.members):len(d.members)], w.Members.Value...)
	}
}

// inherited is where the log of the last primary ended for certain when this node,
// which has all of it, was named primary under the lease of epoch.
type inherited struct {
	epoch uint64
	end   Position
}

// gotPromise is a member's promise, dated by the start of its request.
type gotPromise struct {
	node Node
	at   Instant
}

// streamed is when a standby was last seen streaming.
type streamed struct {
	node Node
	at   Instant
}

// progress notes since when a standby has not advanced.
type progress struct {
	position  Position
	since     Instant
	restarted bool
}

// syncProgress notes what the primary had written when the acknowledging set last came into force.
type syncProgress struct {
	names []Node
	mark  LSN
}

// handover is a switchover under way.
type handover struct {
	active    bool
	target    Node
	id        uint64 // of the request
	why       string // it began without a request
	began     Instant
	requested bool // the checkpoint was asked for
	stopping  bool
}
