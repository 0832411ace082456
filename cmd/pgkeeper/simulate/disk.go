package main

import (
	"fmt"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// branch is one history of writes: it leaves its parent at a position, and is
// made by exactly one promotion (or initdb).
type branch struct {
	id       int
	timeline uint32
	parent   *branch
	fork     decide.LSN
	history  []decide.Fork
	system   string

	acked  decide.LSN // highest acknowledged
	quorum decide.LSN // highest acknowledged by a quorum
}

func (w *world) newBranch(timeline uint32, parent *branch, fork decide.LSN, system string) *branch {
	b := &branch{id: len(w.branches), timeline: timeline, parent: parent, fork: fork, system: system}
	if parent != nil {
		b.history = append(append([]decide.Fork(nil), parent.history...), decide.Fork{Timeline: timeline, LSN: fork})
		for _, other := range w.branches {
			if other.system == system && other.timeline == timeline {
				w.violate("timeline", fmt.Sprintf("two histories have timeline %d", timeline))
			}
		}
	}
	w.branches = append(w.branches, b)
	return b
}

// descends says whether b is other, or goes on from it.
func (b *branch) descends(other *branch) bool {
	for b != nil && b != other {
		b = b.parent
	}
	return b != nil
}

// contains says whether data that have come to lsn on b have all of other up to x.
func (b *branch) contains(lsn decide.LSN, other *branch, x decide.LSN) bool {
	for b != nil {
		if b == other {
			return x <= lsn
		}
		lsn = min(lsn, b.fork)
		b = b.parent
	}
	return false
}

// common returns the latest point of b up to lsn that theirs, up to theirLSN, has as well.
func (b *branch) common(lsn decide.LSN, theirs *branch, theirLSN decide.LSN) (*branch, decide.LSN) {
	for b != nil {
		for t, l := theirs, theirLSN; t != nil; t, l = t.parent, min(l, t.fork) {
			if t == b {
				return b, min(lsn, l)
			}
		}
		lsn = min(lsn, b.fork)
		b = b.parent
	}
	return nil, 0
}

// disk holds a node's data and outlives its processes.
type disk struct {
	present   bool
	identity  decide.Identity
	system    string
	standby   bool
	clean     bool
	exact     bool // the end of the log is known without starting the server
	rewinding bool
	memory    decide.Memory
	branch    *branch
	lsn       decide.LSN // all of it is flushed
	shown     decide.LSN // the end as known while exact is false
	rewound   *rewound   // until the server has got from its source what makes the data consistent
}

// rewound is what data need that were rewound: log of their source up to where that
// had come, for pages were copied from it.
type rewound struct {
	from   decide.Rewind
	branch *branch
	lsn    decide.LSN
}

// wipe is what happens with a replaced disk.
func (d *disk) wipe() { *d = disk{} }

// diskSize is every disk's; one is either full or all but empty.
const diskSize = 1 << 30

// room is what the keeper reads of the disk's file system.
func (n *node) room() decide.Disk {
	if n.full > 0 {
		return decide.Disk{Size: diskSize}
	}
	return decide.Disk{Size: diskSize, Free: diskSize}
}

// data is what the keeper reads of it.
func (d *disk) data() decide.Data {
	if !d.present {
		return decide.Data{}
	}
	end := d.lsn
	if !d.exact {
		end = d.shown
	}
	var from decide.Rewind
	if d.rewound != nil {
		from = d.rewound.from
	}
	return decide.Data{
		Rewound: from,
		Present: true, Identity: d.identity, System: d.system, Standby: d.standby, Clean: d.clean,
		End: decide.Position{Timeline: d.branch.timeline, LSN: end}, Exact: d.exact,
		History: d.branch.history, Rewinding: d.rewinding, Memory: d.memory,
	}
}
