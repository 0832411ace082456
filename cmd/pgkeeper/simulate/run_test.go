package main

import (
	"io"
	"testing"
)

// TestNoScheduleBreaksARule plays a bounded number of schedules; the command plays many more.
func TestNoScheduleBreaksARule(t *testing.T) {
	for seed := uint64(1); seed <= 400; seed++ {
		if o := play(newSchedule(seed), options{}, nil); o.Violation != "" {
			t.Errorf("seed %d at %d: %s: %s", seed, o.At, o.Violation, o.Detail)
		}
	}
}

// TestARuleThatIsOffIsNoticed shows that the simulation would find its absence.
func TestARuleThatIsOffIsNoticed(t *testing.T) {
	for name, tc := range map[string]struct {
		off  options
		rule string // that is broken
		from uint64 // a seed before the first that shows it, so that the test is short
	}{
		"fence":            {options{WithoutFence: true}, "two primaries", 1},
		"walreceiver wait": {options{WithoutReceiverWait: true}, "lost write", 6800},
		"promises":         {options{WithoutPromises: true}, "two primaries", 400},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := tc.from; seed < tc.from+20000; seed++ {
				if o := play(newSchedule(seed), tc.off, nil); o.Violation == tc.rule {
					t.Logf("found with seed %d: %s", seed, o.Detail)
					return
				}
			}
			t.Errorf("no violation of %q found", tc.rule)
		})
	}
}

// TestASeedIsReplayed checks that nothing but the seed decides.
func TestASeedIsReplayed(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		a, b := play(newSchedule(seed), options{}, nil), play(newSchedule(seed), options{}, io.Discard)
		if a.Virtual != b.Virtual || a.promotions != b.promotions || a.lastAck != b.lastAck {
			t.Errorf("seed %d: got %+v, then %+v", seed, a, b)
		}
	}
}

func BenchmarkSchedules(b *testing.B) {
	for i := range b.N {
		play(newSchedule(uint64(i+1)), options{}, nil)
	}
}
