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
	return text.String()
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
	of := func(system string) []float64 {
		for _, setup := range setups {
			if setup.System == system {
				return outages(groups[setup][name])
			}
		}
		return nil
	}
	theirs, synchronous := of(rival), of(strict)
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
