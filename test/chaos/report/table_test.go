package report_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/test/chaos/report"
)

func TestFileAndTable(t *testing.T) {
	file := report.File(filepath.Join(t.TempDir(), "new", "results.jsonl"))
	setup := report.Setup{System: "holdfast", Plan: "cluster-small", Replication: "quorum"}
	for i, outage := range []float64{1, 4, 2} {
		whole := 5 + float64(i)
		run := report.Run{Setup: setup, Fault: "postgres-killed", Number: i + 1, WriteOutage: outage, Healthy: &whole, Acknowledged: 100, Overlap: float64(i) / 10}
		if err := file.Append(run); err != nil {
			t.Fatal(err)
		}
	}
	runs, err := file.Read()
	if err != nil {
		t.Fatal(err)
	}
	if got := report.Done(runs, setup, "postgres-killed"); got != 3 {
		t.Errorf("got %d runs done, want 3", got)
	}
	if got := report.Done(runs, report.Setup{System: "patroni"}, "postgres-killed"); got != 0 {
		t.Errorf("another setup's runs are counted: %d", got)
	}
	var text strings.Builder
	if err := report.Table(&text, runs); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| postgres-killed | holdfast cluster-small quorum | 3 | 2.00 (1.00 … 4.00) |", "| 300 | 0 |", "2 runs, ≤ 0.20 s", "6.00 (5.00 … 7.00) | 0 | 0.00 |"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, text.String())
		}
	}
}
