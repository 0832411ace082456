package decide

import "time"

// Disk is the file system that the data lie on.
type Disk struct {
	Free, Size int64 // bytes: what PostgreSQL may still use, and all; Size 0: not read yet
	// ReserveGone: what is kept in reserve for the next start was given up, or there
	// was no room for it. Transactions are read-only by default then.
	ReserveGone bool
}

const (
	fullBelow = 16 << 20    // bytes: no room for another segment of log
	roomyFrom = 8           // a roomy disk has at least this part of its size left
	fullAgain = time.Minute // between two attempts to leave a full disk
)

// Room is how much is left of a node's disk, in one word; empty: not known.
type Room string

// The rooms. The distance from roomy to full keeps a primary from leaving a disk for
// one that is about to be as full: what fills all of them alike, an app's own
// rows, is no reason to hand over.
const (
	Roomy Room = "roomy" // for a good deal more
	Low   Room = "low"
	Full  Room = "full" // writes fail, or soon will
)

func (d Disk) room() Room {
	switch {
	case d.Size == 0:
		return ""
	case d.ReserveGone || d.Free < fullBelow:
		return Full
	case d.Free < d.Size/roomyFrom:
		return Low
	}
	return Roomy
}

// leaveFullDisk begins a switchover when this disk has been full for a moment and a
// standby's is roomy: what filled it (a log, a backup, temporary files) is this node's alone.
func (t *turn) leaveFullDisk() {
	if t.in.Local.Disk.room() != Full {
		t.fullSince = 0
		return
	}
	if t.fullSince == 0 {
		t.fullSince = t.now
	}
	if t.handover.active || t.draining {
		return
	}
	t.why = "holds the lease; its disk is full"
	if t.now.Sub(t.fullSince) < t.cfg.Renew || t.leftFull != 0 && t.now.Sub(t.leftFull) < fullAgain {
		return
	}
	if p := t.successor("", func(p *Peer) bool { return p.Status.Disk == Roomy }); p != nil {
		t.handover = handover{active: true, target: p.Node, began: t.now, why: "its disk is full: "}
		t.fullSince, t.leftFull = 0, t.now
	}
}
