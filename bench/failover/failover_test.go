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

func TestReportWithoutRuns(t *testing.T) {
	if err := run(filepath.Join(t.TempDir(), "none.jsonl"), ""); err == nil {
		t.Error("no results, no error")
	}
}
