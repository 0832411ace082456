package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// summary is what a campaign came to.
type summary struct {
	First     uint64  `json:"first_seed"`
	Schedules uint64  `json:"schedules"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"schedules_per_second"`
	Virtual   float64 `json:"virtual_seconds"`
	Starts    int     `json:"starts_of_primaries"`
	LostAsync uint64  `json:"most_bytes_lost_async"`
	Writable  float64 `json:"slowest_writable_seconds"`
	Whole     float64 `json:"slowest_whole_seconds"`
	Off       options `json:"rules_off"`
	// Outages of schedules with one fault only, by fault.
	Outages    map[string]*outage `json:"outages"`
	Violations []outcome          `json:"violations"`
}

// outage is how long nothing was acknowledged, in virtual seconds.
type outage struct {
	Runs    int     `json:"runs"`
	Median  float64 `json:"median"`
	Longest float64 `json:"longest"`
	all     []float64
}

func (s *summary) add(o outcome) {
	s.Schedules++
	s.Virtual += float64(o.Virtual) / float64(second)
	s.Starts += o.promotions
	s.LostAsync = max(s.LostAsync, uint64(o.lostBytes))
	if o.Violation != "" {
		s.Violations = append(s.Violations, o)
		return
	}
	if o.fault != "" {
		if s.Outages == nil {
			s.Outages = map[string]*outage{}
		}
		of := s.Outages[o.fault]
		if of == nil {
			of = &outage{}
			s.Outages[o.fault] = of
		}
		of.Runs++
		of.all = append(of.all, float64(o.gap)/float64(second))
	}
	s.Writable = max(s.Writable, float64(o.writableAt-o.faultsEnd)/float64(second))
	s.Whole = max(s.Whole, float64(o.wholeAt-o.faultsEnd)/float64(second))
}

// finish computes what needs all runs.
func (s *summary) finish() {
	for _, o := range s.Outages {
		slices.Sort(o.all)
		o.Median, o.Longest = o.all[len(o.all)/2], o.all[len(o.all)-1]
	}
}

func (s *summary) print(out io.Writer) {
	fmt.Fprintf(out, "%d schedules (%.0f virtual hours) in %.1f s, %.0f/s; primaries began %d times\n",
		s.Schedules, s.Virtual/3600, s.Seconds, s.PerSecond, s.Starts)
	fmt.Fprintf(out, "after the faults: writable within %.1f s, three healthy members within %.1f s; async lost at most %d bytes at once\n",
		s.Writable, s.Whole, s.LostAsync)
	for _, name := range slices.Sorted(maps.Keys(s.Outages)) {
		o := s.Outages[name]
		fmt.Fprintf(out, "  %-28s %5d runs, no acknowledgement for %.1f s (median), %.1f s (longest)\n", name, o.Runs, o.Median, o.Longest)
	}
	fmt.Fprintf(out, "violations: %d\n", len(s.Violations))
	for i, v := range s.Violations {
		if i == 20 {
			break
		}
		fmt.Fprintf(out, "  seed %d at %.3f s: %s: %s\n", v.Seed, float64(v.At)/float64(second), v.Violation, v.Detail)
	}
}
