package main

import (
	"fmt"
	"io"
	"runtime/debug"
)

// outcome is what one schedule came to.
type outcome struct {
	Seed uint64 `json:"seed"`
	checks
	Virtual int64  `json:"virtual_ns"`
	fault   string // of a schedule with just one
}

// play runs one schedule.
func play(plan *schedule, opt options, trace io.Writer) (result outcome) {
	defer func() {
		if p := recover(); p != nil {
			result = outcome{Seed: plan.Seed, checks: checks{Violation: "panic", Detail: fmt.Sprintf("%v\n%s", p, debug.Stack())}}
		}
	}()
	// A run changes its faults' times; the plan stays as it is.
	own := *plan
	own.Faults = append([]fault(nil), plan.Faults...)
	w := newWorld(&own, opt, trace)
	w.run()
	o := outcome{Seed: plan.Seed, checks: w.log, Virtual: w.now}
	if kind, ok := plan.single(); ok {
		o.fault = kind.String()
		if plan.Faults[0].Node < 0 {
			o.fault += " (primary)"
		}
		if limit := outageLimit(plan, kind); o.Violation == "" && limit > 0 && o.gap > limit {
			o.Violation, o.At = "outage", o.Virtual
			o.Detail = fmt.Sprintf("nothing was acknowledged for %.1f s, more than %.1f s", float64(o.gap)/float64(second), float64(limit)/float64(second))
		}
	}
	return o
}

// outageLimit is how long a fault that comes alone may stop writes; 0: no such limit.
func outageLimit(plan *schedule, kind faultKind) int64 {
	if kind == fullDisk && plan.Unsure == 0 {
		return 6 * second // others have room, so a second later it hands over
	}
	return 0
}

// minimise drops faults and shortens them as long as the same rule is broken.
func minimise(plan *schedule, opt options, rule string) *schedule {
	best := plan
	broken := func(s *schedule) bool { return play(s, opt, nil).Violation == rule }
	for again := true; again; {
		again = false
		for i := range best.Faults {
			try := *best
			try.Faults = append(append([]fault(nil), best.Faults[:i]...), best.Faults[i+1:]...)
			if broken(&try) {
				best, again = &try, true
				break
			}
		}
	}
	for i := range best.Faults {
		for best.Faults[i].For > 100*millisecond {
			try := *best
			try.Faults = append([]fault(nil), best.Faults...)
			try.Faults[i].For /= 2
			if !broken(&try) {
				break
			}
			best = &try
		}
	}
	return best
}
