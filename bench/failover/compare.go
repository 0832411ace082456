package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aclements/go-moremath/stats"

	"github.com/holdfast-osb/holdfast/test/chaos/fault"
	"github.com/holdfast-osb/holdfast/test/chaos/report"
)

// comparison shows every fault that two systems suffered, side by side.
func comparison(all []report.Run) string {
	setups, faults, groups := group(slices.DeleteFunc(slices.Clone(all), func(r report.Run) bool {
		return r.System == holdfast && !strings.HasPrefix(r.Plan, "cluster-")
	}))
	if !slices.ContainsFunc(setups, func(s report.Setup) bool { return s.System != holdfast }) {
		return ""
	}
	var text strings.Builder
	text.WriteString("\n## Beside Patroni and repmgr alone\n\nMedian write outage in seconds (max; n), rows lost in all runs, and what remained to be done. A cluster needs a hand when it was\nnot whole 2 minutes after the fault's end (repmgr alone: 30 s, as it leaves a failed primary to its operator); until then\na second primary went on losing rows. Shorter and longer are of the median; not clearly: p > 0.05 (Mann-Whitney). A pause of up to half a second is no outage.\n\n| fault |")
	for _, setup := range setups {
		fmt.Fprintf(&text, " %s, %s |", setup.System, setup.Replication)
	}
	text.WriteString(" Holdfast beside tuned Patroni |\n" + strings.Repeat("| --- ", len(setups)+2) + "|\n")
	for _, name := range faults {
		text.WriteString("| " + name + " |")
		for _, setup := range setups {
			text.WriteString(" " + cell(groups[setup][name]) + " |")
		}
		text.WriteString(" " + verdict(setups, name, groups) + " |\n")
	}
	return text.String() + summary(setups, faults, groups)
}

// summary counts the verdicts of each of our setups beside each rival: those
// that promise the same first.
func summary(setups []report.Setup, faults []string, groups map[report.Setup]map[string][]report.Run) string {
	verdicts := []string{"shorter", "shorter, not clearly", "none, theirs in some", "no outage in either", "**longer**, not clearly", "**longer**"}
	var text strings.Builder
	text.WriteString("\nOf the faults that both suffered, Holdfast's outage is:\n\n| Holdfast | beside | faults | " + strings.Join(verdicts, " | ") + " |\n" + strings.Repeat("| --- ", len(verdicts)+3) + "|\n")
	for _, pair := range []struct{ replication, rival string }{{"async", rival}, {"quorum", strict}, {"quorum", rival}} {
		counts, both := map[string]int{}, 0
		for _, name := range faults {
			ours, theirs := suffered(setups, groups, holdfast, pair.replication, name), suffered(setups, groups, pair.rival, "", name)
			if len(ours) == 0 || len(theirs) == 0 {
				continue
			}
			both++
			verdict := beside(ours, theirs)
			if strings.HasPrefix(verdict, "none") {
				verdict = verdicts[2]
			}
			counts[verdict]++
		}
		if both == 0 {
			continue
		}
		fmt.Fprintf(&text, "| %s | %s | %d |", pair.replication, pair.rival, both)
		for _, verdict := range verdicts {
			fmt.Fprintf(&text, " %d |", counts[verdict])
		}
		text.WriteString("\n")
	}
	return text.String()
}

// suffered returns the write outages in seconds of a system's clusters by a
// fault; with any replication when that is empty.
func suffered(setups []report.Setup, groups map[report.Setup]map[string][]report.Run, system, replication, name string) []float64 {
	for _, setup := range setups {
		if setup.System == system && (replication == "" || setup.Replication == replication) {
			return outages(groups[setup][name])
		}
	}
	return nil
}

func cell(runs []report.Run) string {
	if len(runs) == 0 {
		return "–"
	}
	s := outages(runs)
	text := fmt.Sprintf("%.2f (%.2f; %d)%s", report.Median(s), slices.Max(s), len(runs), mixed(runs))
	if rows := lost(runs); rows > 0 {
		text += fmt.Sprintf(", **%d lost**", rows)
	}
	if n := count(runs, func(r report.Run) bool { return r.Overlap > 0 }); n > 0 {
		text += fmt.Sprintf(", two primaries %d×", n)
	}
	if n := count(runs, report.Run.Failed); n > 0 {
		text += fmt.Sprintf(", needs a hand %d×", n)
	}
	return text
}

// verdict compares each of our setups with the rival's, and the one that loses
// nothing also with the rival's of that kind.
func verdict(setups []report.Setup, name string, groups map[report.Setup]map[string][]report.Run) string {
	theirs, synchronous := suffered(setups, groups, rival, "", name), suffered(setups, groups, strict, "", name)
	var parts []string
	for _, setup := range setups {
		ours := outages(groups[setup][name])
		if setup.System != holdfast || len(ours) == 0 || len(theirs) == 0 {
			continue
		}
		part := setup.Replication + ": " + beside(ours, theirs)
		if setup.Replication == "quorum" && len(synchronous) > 0 {
			part += " (" + strict + ": " + beside(ours, synchronous) + ")"
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return "–"
	}
	return strings.Join(parts, "; ")
}

// beside says whether the median of our outages is shorter than of theirs, and
// whether chance alone could make that difference (Mann-Whitney U test, as
// benchstat does).
func beside(ours, theirs []float64) string {
	seen := 0
	for _, outage := range theirs {
		if outage > unnoticed {
			seen++
		}
	}
	if slices.Max(ours) <= unnoticed {
		if seen == 0 {
			return "no outage in either"
		}
		return fmt.Sprintf("none, theirs in %d of %d", seen, len(theirs))
	}
	how := "shorter"
	if report.Median(ours) >= report.Median(theirs) {
		how = "**longer**"
	}
	// An error: all samples are equal, or there are too few.
	if test, err := stats.MannWhitneyUTest(ours, theirs, stats.LocationDiffers); err != nil || test.P > chance {
		how += ", not clearly"
	}
	return how
}

// losses shows what asynchronous replication lost beside its lag.
func losses(all []report.Run) string {
	runs := slices.DeleteFunc(slices.Clone(all), func(r report.Run) bool { return r.Lag == nil })
	if len(runs) == 0 {
		return ""
	}
	setups, faults, groups := group(runs)
	var text strings.Builder
	text.WriteString("\n## Asynchronous replication: rows lost and the lag\n\nEvery 50 ms both standbys are asked how far they have received and flushed the log, and each acknowledged row is noted with its\nposition in it. *Lag at the fault*: rows acknowledged by then beyond what any standby had at its last answer before. *After it*: rows\nthat the old primary acknowledged later, cut off or about to die, where another took over. No more than both together may be lost;\nwith planned work nothing.\n\n| fault | system | n | lag at the fault, rows: median (max) | bytes, max | after it, rows: max | lost in all | most lost in a run | within the lag |\n" + strings.Repeat("| --- ", 9) + "|\n")
	for _, name := range faults {
		f, _ := fault.Find(name)
		for _, setup := range setups {
			if runs := groups[setup][name]; len(runs) > 0 {
				text.WriteString(lagRow(f, setup, runs))
			}
		}
	}
	return text.String()
}

func lagRow(f fault.Fault, setup report.Setup, runs []report.Run) string {
	var rows, bytes, after, most []float64
	for _, run := range runs {
		rows, bytes = append(rows, float64(run.Lag.Rows)), append(bytes, float64(run.Lag.Bytes))
		after, most = append(after, float64(run.Lag.After)), append(most, float64(run.Lost.Rows))
	}
	within := count(runs, func(r report.Run) bool {
		return r.Lost.Rows == 0 || !f.Planned && r.Lost.Rows <= r.Lag.Rows+r.Lag.After
	})
	return fmt.Sprintf("| %s | %s | %d | %g (%g) | %g | %g | %d | %g | %d of %d |\n", f.Name, setup.System, len(runs),
		report.Median(rows), slices.Max(rows), slices.Max(bytes), slices.Max(after), lost(runs), slices.Max(most), within, len(runs))
}
