package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-osb/holdfast/test/chaos/fault"
	"github.com/holdfast-osb/holdfast/test/chaos/report"
)

const (
	holdfast = "holdfast"
	rival    = "patroni-tuned"
	strict   = "patroni-strict"
	// unnoticed is a pause in seconds that is no outage.
	unnoticed = 0.5
	// chance is the probability from which on a difference may be one of chance.
	chance = 0.05
	// Runs that a row shall have; those with a bound on the median need more.
	few, many = 5, 20
)

// systems in the order in which they are shown.
var systems = []string{holdfast, rival, strict, "patroni", "repmgr-tuned", "repmgr"}

func sortSetups(setups []report.Setup) {
	slices.SortStableFunc(setups, func(a, b report.Setup) int {
		return cmp.Or(cmp.Compare(slices.Index(systems, a.System), slices.Index(systems, b.System)),
			-cmp.Compare(a.Replication, b.Replication), cmp.Compare(a.Plan, b.Plan)) // quorum before async
	})
}

// group collects runs by setup and fault.
func group(runs []report.Run) (setups []report.Setup, faults []string, groups map[report.Setup]map[string][]report.Run) {
	groups = map[report.Setup]map[string][]report.Run{}
	for _, run := range runs {
		if groups[run.Setup] == nil {
			groups[run.Setup] = map[string][]report.Run{}
			setups = append(setups, run.Setup)
		}
		groups[run.Setup][run.Fault] = append(groups[run.Setup][run.Fault], run)
	}
	sortSetups(setups)
	for _, f := range fault.All() {
		if slices.ContainsFunc(runs, func(r report.Run) bool { return r.Fault == f.Name }) {
			faults = append(faults, f.Name)
		}
	}
	return setups, faults, groups
}

func clusters(runs []report.Run) []report.Run {
	var of []report.Run
	for _, run := range runs {
		if run.System == holdfast && strings.HasPrefix(run.Plan, "cluster-") {
			of = append(of, run)
		}
	}
	return of
}

func outages(runs []report.Run) []float64 {
	return report.Each(runs, func(r report.Run) *float64 { return &r.WriteOutage })
}

func lost(runs []report.Run) int {
	rows := 0
	for _, run := range runs {
		rows += run.Lost.Rows
	}
	return rows
}

func count(runs []report.Run, is func(report.Run) bool) int {
	n := 0
	for _, run := range runs {
		if is(run) {
			n++
		}
	}
	return n
}

// origin says of which source the runs are, and what else the machine did.
func origin(runs []report.Run) string {
	versions := map[string]int{}
	for _, run := range runs {
		versions[run.Version]++
	}
	loads := report.Each(runs, func(r report.Run) *float64 { return &r.Load })
	most := slices.MaxFunc(runs, func(a, b report.Run) int { return cmp.Compare(a.Clusters, b.Clusters) }).Clusters
	text := fmt.Sprintf("%d runs, up to %d clusters at a time on one machine; its load before a run: %.1f (%.1f … %.1f).", len(runs), most, report.Median(loads), slices.Min(loads), slices.Max(loads))
	if len(versions) == 1 {
		return text + fmt.Sprintf(" All of version %s.\n", runs[0].Version)
	}
	var parts []string
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		parts = append(parts, fmt.Sprintf("%s (%d)", version, versions[version]))
	}
	return text + "\n\n**These runs are of several versions of the source: " + strings.Join(parts, ", ") + ".** A row marked † has more than one.\n"
}

// mixed marks rows of several versions.
func mixed(runs []report.Run) string {
	if slices.ContainsFunc(runs, func(r report.Run) bool { return r.Version != runs[0].Version }) {
		return " †"
	}
	return ""
}

// promises shows what was kept of them.
func promises(all []report.Run) string {
	setups, faults, groups := group(clusters(all))
	var text strings.Builder
	text.WriteString("\n## What is promised of clusters\n\n| fault | replication | n | median s | min s | max s | bound s | lost | two primaries | kept |\n" + strings.Repeat("| --- ", 10) + "|\n")
	for _, name := range faults {
		f, _ := fault.Find(name)
		for _, setup := range setups {
			runs := groups[setup][name]
			if !f.Promised || len(runs) == 0 {
				continue
			}
			s := outages(runs)
			bound := fmt.Sprintf("≤ %g", f.Outage.Seconds())
			if f.Median > 0 {
				bound = fmt.Sprintf("median ≤ %g, max ≤ %g", f.Median.Seconds(), f.Outage.Seconds())
			}
			fmt.Fprintf(&text, "| %s%s | %s | %d | %.2f | %.2f | %.2f | %s | %d | %s | %s |\n", name, mixed(runs), setup.Replication, len(runs),
				report.Median(s), slices.Min(s), slices.Max(s), bound, lost(runs), report.TwoPrimaries(runs), kept(f, runs))
		}
	}
	return text.String()
}

// kept tells whether a row keeps its promise, and in how many runs not.
func kept(f fault.Fault, runs []report.Run) string {
	want := few
	if f.Median > 0 && runs[0].Replication == "quorum" {
		want = many
	}
	broken := count(runs, func(r report.Run) bool { return len(r.Faults(f.Outage.Seconds(), f.Planned)) > 0 })
	switch {
	case broken > 0:
		return fmt.Sprintf("**no: %d runs**", broken)
	case f.Median > 0 && report.Median(outages(runs)) > f.Median.Seconds():
		return "**no: median**"
	case len(runs) < want:
		return fmt.Sprintf("yes, so far (n < %d)", want)
	}
	return "yes"
}

// mix shows the bounds that hold for every fault.
func mix(all []report.Run) string {
	runs := clusters(all)
	if len(runs) == 0 {
		return ""
	}
	quorum := slices.DeleteFunc(slices.Clone(runs), func(r report.Run) bool { return r.Replication != "quorum" })
	rows := [][2]string{
		{"runs of all faults on clusters", fmt.Sprint(len(runs))},
		{"writable again within 30 s of the fault's end", of(runs, func(r report.Run) bool { return r.Writable <= report.WritableLimit })},
		{"three healthy nodes within 90 s of it", of(runs, func(r report.Run) bool { return !r.Failed() && *r.Healthy <= report.WholeLimit })},
		{"stuck, or in need of a hand", fmt.Sprint(count(runs, report.Run.Failed))},
		{"two primaries acknowledging at one instant", report.TwoPrimaries(runs)},
		{"acknowledged rows lost with quorum commit", fmt.Sprintf("%d in %d runs", lost(quorum), len(quorum))},
	}
	text := "\n## The whole mix\n\n| | |\n| --- | --- |\n"
	for _, row := range rows {
		text += "| " + row[0] + " | " + row[1] + " |\n"
	}
	return text
}

func of(runs []report.Run, is func(report.Run) bool) string {
	return fmt.Sprintf("%d of %d", count(runs, is), len(runs))
}
