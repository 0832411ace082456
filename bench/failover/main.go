// Command failover makes the summary table and the plots of what the chaos
// tests have measured: it reads results.jsonl and writes results.md, with what
// was kept of what is promised, and one SVG a fault beside it.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-osb/holdfast/test/chaos/report"
)

func main() {
	results := flag.String("results", "bench/failover/results.jsonl", "what the chaos tests measured")
	version := flag.String("version", "", "only runs of this version of the source")
	flag.Parse()
	if err := run(*results, *version); err != nil {
		fmt.Fprintln(os.Stderr, "failover:", err)
		os.Exit(1)
	}
}

func run(results, version string) error {
	runs, err := report.File(results).Read()
	if err != nil {
		return err
	}
	if version != "" {
		runs = slices.DeleteFunc(runs, func(r report.Run) bool { return r.Version != version })
	}
	if len(runs) == 0 {
		return fmt.Errorf("%s holds no such run: `make chaos` makes some", results)
	}
	var text strings.Builder
	text.WriteString("# What faults cost\n\nMade from [results.jsonl](results.jsonl) by `make chaos-report`. A write outage is the longest pause between two\nacknowledgements that a client saw which writes every 50 ms and waits 2 s for an answer.\n\n")
	text.WriteString(origin(runs))
	for _, section := range []func([]report.Run) string{promises, mix, comparison, losses} {
		text.WriteString(section(runs))
	}
	text.WriteString("\n## All figures\n\n")
	if err := report.Table(&text, runs); err != nil {
		return err
	}
	if err := pictures(&text, filepath.Dir(results), runs); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(results), "results.md"), []byte(text.String()), 0o644); err != nil {
		return fmt.Errorf("write the tables: %w", err)
	}
	return nil
}

// pictures draws every fault and shows it in the text.
func pictures(text *strings.Builder, folder string, runs []report.Run) error {
	byFault := map[string][]report.Run{}
	for _, run := range runs {
		byFault[run.Fault] = append(byFault[run.Fault], run)
	}
	text.WriteString("\n## Writes around each fault\n\nEach picture shows the run with the median outage: acknowledged writes per 100 ms, seconds from the fault.\n\n")
	for _, fault := range slices.Sorted(maps.Keys(byFault)) {
		name := fault + ".svg"
		if err := picture(filepath.Join(folder, name), fault, medianRuns(byFault[fault])); err != nil {
			return fmt.Errorf("draw %s: %w", name, err)
		}
		fmt.Fprintf(text, "![%s](%s)\n\n", fault, name)
	}
	return nil
}

// medianRuns picks of each setup the run with the median write outage.
func medianRuns(runs []report.Run) []report.Run {
	var setups []report.Setup
	bySetup := map[report.Setup][]report.Run{}
	for _, run := range runs {
		if bySetup[run.Setup] == nil {
			setups = append(setups, run.Setup)
		}
		bySetup[run.Setup] = append(bySetup[run.Setup], run)
	}
	chosen := make([]report.Run, len(setups))
	sortSetups(setups)
	for i, setup := range setups {
		of := bySetup[setup]
		slices.SortStableFunc(of, func(a, b report.Run) int { return cmp.Compare(a.WriteOutage, b.WriteOutage) })
		chosen[i] = of[(len(of)-1)/2]
	}
	return chosen
}
