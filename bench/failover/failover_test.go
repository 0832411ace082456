package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/test/chaos/report"
)

func TestReport(t *testing.T) {
	results := filepath.Join(t.TempDir(), "results.jsonl")
	whole := 4.0
	for i, outage := range []float64{3, 9, 5} {
		run := report.Run{
			Setup: report.Setup{System: "holdfast", Plan: "cluster-small", Replication: "quorum"}, Fault: "vm-killed", Number: i + 1,
			WriteOutage: outage, Healthy: &whole, Acknowledged: 7, FaultBucket: 2, Writes: map[string]report.Counts{report.Alias: {2, 2, 0, 0, 1, 2}},
		}
		if err := report.File(results).Append(run); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(results, ""); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(results), "results.md"))
	if err != nil || !strings.Contains(string(text), "| vm-killed | holdfast cluster-small quorum | 3 | 5.00 (3.00 … 9.00) |") || !strings.Contains(string(text), "](vm-killed.svg)") {
		t.Errorf("results.md (%v):\n%s", err, text)
	}
	picture, err := os.Open(filepath.Join(filepath.Dir(results), "vm-killed.svg"))
	if err != nil {
		t.Fatal(err)
	}
	defer picture.Close()
	title := false
	for decoder := xml.NewDecoder(picture); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
		if text, ok := token.(xml.CharData); ok && strings.Contains(string(text), "outage 5.00 s") {
			title = true
		}
	}
	if !title {
		t.Error("the picture does not show the run with the median outage")
	}
}

func TestReportJudges(t *testing.T) {
	whole := 4.0
	made := func(system, replication, fault, version string, outage float64, change func(*report.Run)) report.Run {
		run := report.Run{
			Setup: report.Setup{System: system, Plan: "cluster-small", Replication: replication}, Fault: fault, Version: version, Clusters: 2,
			WriteOutage: outage, Healthy: &whole,
		}
		if change != nil {
			change(&run)
		}
		return run
	}
	runs := []report.Run{
		made("holdfast", "quorum", "postgres-killed", "a", 1, nil),
		made("holdfast", "quorum", "primary-cut-off", "a", 13, nil),
		made("holdfast", "quorum", "consul-lost", "b", 0.3, nil),
		made("holdfast", "async", "primary-cut-off", "a", 7, func(r *report.Run) {
			r.Lost.Rows, r.Lag = 40, &report.Lag{Rows: 2, After: 90}
		}),
		made("patroni-tuned", "async", "postgres-killed", "a", 5, nil),
		made("patroni-tuned", "async", "consul-lost", "a", 0.2, nil),
		made("holdfast", "quorum", "slow-network", "a", 0.9, nil),
		made("patroni-tuned", "async", "slow-network", "a", 0.7, nil),
		made("patroni-tuned", "async", "primary-cut-off", "a", 24, func(r *report.Run) { r.Healthy, r.Lost.Rows, r.Overlap = nil, 72, 2 }),
	}
	text := origin(runs) + promises(runs) + mix(runs) + comparison(runs) + losses(runs)
	for _, want := range []string{
		"several versions of the source: a (8), b (1)",
		"| postgres-killed | quorum | 1 | 1.00 | 1.00 | 1.00 | median ≤ 1.5, max ≤ 3 | 0 | never | yes, so far (n < 20) |",
		"| primary-cut-off | quorum | 1 | 13.00 | 13.00 | 13.00 | median ≤ 8, max ≤ 12 | 0 | never | **no: 1 runs** |",
		"| runs of all faults on clusters | 5 |", "| three healthy nodes within 90 s of it | 5 of 5 |",
		"| 24.00 (24.00; 1), **72 lost**, two primaries 1×, needs a hand 1× | quorum: shorter, not clearly; async: shorter, not clearly |",
		"quorum: no outage in either |", "| 0.70 (0.70; 1) | quorum: **longer**, not clearly |",
		"| async | patroni-tuned | 1 | 0 | 1 | 0 | 0 | 0 | 0 |\n| quorum | patroni-tuned | 4 | 0 | 2 | 0 | 1 | 1 | 0 |\n",
		"| primary-cut-off | holdfast | 1 | 2 (2) | 0 | 90 | 40 | 40 | 1 of 1 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
}

func TestReportWithoutRuns(t *testing.T) {
	if err := run(filepath.Join(t.TempDir(), "none.jsonl"), ""); err == nil {
		t.Error("no results, no error")
	}
}

func TestBeside(t *testing.T) {
	for _, c := range []struct {
		name         string
		ours, theirs []float64
		want         string
	}{
		{"shorter each time", []float64{6.4, 6.5, 6.6, 6.6, 6.8}, []float64{22, 23, 24, 24, 29}, "shorter"},
		{"longer each time", []float64{0.88, 0.88, 0.89, 0.9, 1.02}, []float64{0.68, 0.69, 0.69, 0.69, 0.78}, "**longer**"},
		{"now this, now that", []float64{0.69, 0.69, 0.76, 0.77, 0.77}, []float64{0.68, 0.69, 0.69, 0.7, 0.78}, "**longer**, not clearly"},
		{"too few to tell", []float64{1}, []float64{9}, "shorter, not clearly"},
		{"the same", []float64{1, 1, 1, 1, 1}, []float64{1, 1, 1, 1, 1}, "**longer**, not clearly"},
		{"nobody notices", []float64{0.1, 0.2}, []float64{0.2, 0.5}, "no outage in either"},
		{"only ours is not noticed", []float64{0.1, 0.1, 0.2}, []float64{0.2, 10, 7}, "none, theirs in 2 of 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := beside(c.ours, c.theirs); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
