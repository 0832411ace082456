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
		off   options
		rules []string // any of them is broken
	}{
		"fence":            {options{WithoutFence: true}, []string{"two primaries"}},
		"walreceiver wait": {options{WithoutReceiverWait: true}, []string{"lost write"}},
		"promises":         {options{WithoutPromises: true}, []string{"two primaries"}},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 20000; seed++ {
				o := play(newSchedule(seed), tc.off, nil)
				for _, rule := range tc.rules {
					if o.Violation == rule {
						t.Logf("found after %d schedules: %s", seed, o.Detail)
						return
					}
				}
			}
			t.Errorf("no violation of %v found", tc.rules)
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
