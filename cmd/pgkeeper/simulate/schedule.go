package main

import (
	"math/rand/v2"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// schedule is what happens to a cluster from outside. It is made from the seed,
// and the seed decides every delay inside the run as well.
type schedule struct {
	Seed     uint64      `json:"seed"`
	Mode     decide.Mode `json:"mode"`
	Nodes    []nodeSpec  `json:"nodes"`
	Faults   []fault     `json:"faults"`
	Exact    bool        `json:"exact"`    // the end of a crashed server's log is known at once
	Unsure   float64     `json:"unsure"`   // chance that the end of the log is not found even after a clean stop
	Late     float64     `json:"late"`     // chance that a request to Consul arrives seconds late
	Broken   float64     `json:"broken"`   // chance that a start fails while faults are under way
	Stale    float64     `json:"stale"`    // chance that a reading of Consul is up to ten seconds old
	Lateness int64       `json:"lateness"` // of a guard, at most
}

// nodeSpec is one machine.
type nodeSpec struct {
	StartAt int64   `json:"start_at"`
	Rate    float64 `json:"rate"` // of its clock against true time
}

// fault is one thing that goes wrong, or that an operator does.
type fault struct {
	At    int64     `json:"at"`
	For   int64     `json:"for"`
	Kind  faultKind `json:"kind"`
	Node  int       `json:"node"`  // -1: the primary of the moment
	Other int       `json:"other"` // of a cut link; consulHost: Consul
	// OneWay: only what Node sends is lost.
	OneWay bool `json:"one_way"`
}

// options switch rules off, to see that it is noticed.
type options struct {
	WithoutFence, WithoutReceiverWait, WithoutPromises bool
}

// without says whether any rule is off.
func (o options) without() bool { return o.WithoutFence || o.WithoutReceiverWait || o.WithoutPromises }

// newSchedule makes the schedule of a seed.
func newSchedule(seed uint64) *schedule {
	rng := rand.New(rand.NewPCG(seed, 0xfa017))
	s := &schedule{Seed: seed, Mode: decide.Async, Exact: rng.IntN(2) == 0, Lateness: 800 * millisecond}
	if rng.IntN(3) > 0 {
		s.Mode = decide.Quorum
	}
	if !s.Exact && rng.IntN(3) == 0 {
		s.Unsure = 0.7
	}
	if rng.IntN(4) == 0 {
		s.Late = 0.02
	}
	if rng.IntN(4) == 0 {
		s.Broken = 0.3
	}
	if rng.IntN(5) == 0 {
		s.Stale = 0.3
	}
	grows := rng.IntN(5) == 0
	size := 3
	if rng.IntN(20) == 0 {
		size, grows = 1, false
	}
	for i := range size {
		start := rng.Int64N(300 * millisecond)
		if grows && i > 0 {
			start = 4*second + rng.Int64N(10*second)
		}
		s.Nodes = append(s.Nodes, nodeSpec{StartAt: start, Rate: 0.99 + 0.02*rng.Float64()})
	}
	count := 1 + max(0, rng.IntN(7)-2)
	at := 12*second + rng.Int64N(4*second)
	if rng.IntN(6) == 0 {
		at = rng.Int64N(6 * second) // while it is being set up
	}
	if grows {
		at = rng.Int64N(16 * second)
	}
	disks := 0
	for range count {
		f := randomFault(rng, at)
		if f.Kind == loseDisk {
			if disks++; disks > 1 {
				f.Kind = reboot
			}
		}
		s.Faults = append(s.Faults, f)
		switch rng.IntN(3) {
		case 0: // at the same time
			at += rng.Int64N(300 * millisecond)
		case 1:
			at += rng.Int64N(8 * second)
		default:
			at += rng.Int64N(2 * second)
		}
	}
	return s
}

// onlyConsul says whether nothing goes wrong but Consul, once the cluster stands.
func (s *schedule) onlyConsul() bool {
	for _, f := range s.Faults {
		if f.Kind != consulAway && f.Kind != consulElection || f.At < 12*second {
			return false
		}
	}
	return s.Late == 0 && s.Broken == 0 && s.Stale == 0
}

// single returns the one fault of a plain schedule, or false.
func (s *schedule) single() (faultKind, bool) {
	if len(s.Faults) != 1 || len(s.Nodes) != 3 || s.Late != 0 || s.Stale != 0 || s.Broken != 0 || s.Faults[0].At < 12*second || s.Nodes[1].StartAt > second {
		return 0, false
	}
	return s.Faults[0].Kind, true
}

func randomFault(rng *rand.Rand, at int64) fault {
	f := fault{At: at, Kind: faultKind(rng.IntN(int(faultKinds))), Node: rng.IntN(3)}
	if rng.IntN(2) == 0 {
		f.Node = -1
	}
	f.Other = (max(f.Node, 0) + 1 + rng.IntN(3)) % 4
	f.OneWay = rng.IntN(4) == 0
	switch rng.IntN(3) {
	case 0:
		f.For = rng.Int64N(2 * second)
	case 1:
		f.For = second + rng.Int64N(8*second)
	default:
		f.For = 4*second + rng.Int64N(18*second)
	}
	return f
}
