package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// key is what runs are summed up by.
type key struct {
	setup Setup
	fault string
}

// Table writes the summary of all runs as Markdown, in the order in which
// setups and faults first appear.
func Table(w io.Writer, runs []Run) error {
	var order []key
	groups := map[key][]Run{}
	for _, run := range runs {
		k := key{run.Setup, run.Fault}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], run)
	}
	slices.SortStableFunc(order, func(a, b key) int { return cmp.Compare(a.fault, b.fault) })
	var text strings.Builder
	text.WriteString("| fault | system | n | write outage: median (min … max) s | multi-host writer s | reads s | acknowledged | lost | most lost in a run | two primaries | old's last ack / new's first s | fence late s | writable after its end s | whole again s | not whole | a run took s |\n")
	text.WriteString(strings.Repeat("| --- ", 16) + "|\n")
	for _, k := range order {
		text.WriteString(row(k, groups[k]))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func row(k key, runs []Run) string {
	acknowledged, lost, most, stuck := 0, 0, 0, 0
	for _, run := range runs {
		acknowledged += run.Acknowledged
		lost += run.Lost.Rows
		most = max(most, run.Lost.Rows)
		if run.Failed() {
			stuck++
		}
	}
	cells := []string{
		k.fault, k.setup.String(), fmt.Sprint(len(runs)),
		spread(Each(runs, func(r Run) *float64 { return &r.WriteOutage })),
		spread(Each(runs, func(r Run) *float64 { return &r.MultiHostOutage })),
		spread(Each(runs, func(r Run) *float64 { return r.ReadOutage })),
		fmt.Sprint(acknowledged), fmt.Sprint(lost), fmt.Sprint(most), TwoPrimaries(runs),
		middle(Each(runs, func(r Run) *float64 { return r.OldLast })) + " / " + middle(Each(runs, func(r Run) *float64 { return r.NewFirst })),
		spread(Each(runs, func(r Run) *float64 { return r.FenceLate })),
		spread(Each(runs, func(r Run) *float64 { return &r.Writable })),
		spread(Each(runs, func(r Run) *float64 { return r.Healthy })),
		fmt.Sprint(stuck),
		middle(Each(runs, func(r Run) *float64 { return &r.Took })),
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// TwoPrimaries tells in how many runs two servers acknowledged at one instant.
func TwoPrimaries(runs []Run) string {
	count, longest := 0, 0.0
	for _, run := range runs {
		if run.Overlap > 0 {
			count, longest = count+1, max(longest, run.Overlap)
		}
	}
	if count == 0 {
		return "never"
	}
	return fmt.Sprintf("%d runs, ≤ %.2f s", count, longest)
}

// Each collects a figure of those runs that have it.
func Each(runs []Run, figure func(Run) *float64) []float64 {
	var all []float64
	for _, run := range runs {
		if value := figure(run); value != nil {
			all = append(all, *value)
		}
	}
	return all
}

func spread(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f (%.2f … %.2f)", Median(values), slices.Min(values), slices.Max(values))
}

func middle(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", Median(values))
}

// Median of at least one value.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}
