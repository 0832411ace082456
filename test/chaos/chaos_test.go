package chaos_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos"
	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
	"github.com/holdfast-osb/holdfast/test/chaos/fault"
	"github.com/holdfast-osb/holdfast/test/chaos/report"
	"github.com/holdfast-osb/holdfast/test/stacktest"
)

var (
	runs        = flag.Int("runs", 1, "how many runs of each fault the results shall hold")
	faults      = flag.String("faults", "", "comma-separated names of faults; all: every one; empty: a bounded selection")
	system      = flag.String("system", "holdfast", "what to test: holdfast or one of the baselines")
	plan        = flag.String("plan", "single-small", "the plan to test")
	replication = flag.String("replication", "none", "async or quorum for a cluster; none for a single node")
	results     = flag.String("results", "", "file to append the results to; empty: one that is thrown away")
)

// selection is what runs as part of the tests.
const selection = "postgres-killed,vm-killed"

func TestChaos(t *testing.T) {
	chosen := selected(t)
	setup := chosenSetup(t)
	file := report.File(*results)
	if file == "" {
		file = report.File(filepath.Join(t.TempDir(), "results.jsonl"))
	}
	before := read(t, file)
	if done(before, setup, chosen) {
		t.Logf("%s holds %d runs of each fault already", file, *runs)
		return
	}
	flags := []string{"--resurrection-delay", "1s"}
	if strings.HasPrefix(setup.Plan, "cluster-") {
		flags = append(flags, "--consul-servers", "3")
	}
	s := stacktest.Start(t, flags...)
	c, source := anew(t, s, setup), version(t)
	for number := 1; number <= *runs; number++ {
		for _, f := range chosen {
			if report.Done(before, setup, f.Name) >= number {
				continue
			}
			if !f.Suits(c) {
				t.Logf("%s does not suit %s", f.Name, *plan)
				continue
			}
			run := report.Run{Setup: setup, Number: number, Version: source}
			if !experiment(t, c, f, &run) {
				continue
			}
			if err := file.Append(run); err != nil {
				t.Fatal(err)
			}
			if run.Healthy == nil { // an operator would repair it by hand
				c = anew(t, s, setup)
			}
		}
	}
	summary(t, read(t, file))
}

func chosenSetup(t *testing.T) report.Setup {
	t.Helper()
	setup := report.Setup{System: *system, Plan: *plan, Replication: *replication}
	if setup.System == "holdfast" {
		return setup
	}
	baseline, ok := baselines[setup.System]
	if !ok {
		t.Fatalf("no system is called %q", setup.System)
	}
	setup.Plan, setup.Replication = "three nodes", baseline.replication
	return setup
}

func selected(t *testing.T) []fault.Fault {
	t.Helper()
	names := *faults
	switch names {
	case "":
		names = selection
	case "all":
		names = ""
	}
	chosen, err := fault.Select(names)
	if err != nil {
		t.Fatal(err)
	}
	return chosen
}

// anew makes the cluster under test, in the place of one that is there.
func anew(t *testing.T, s *stacktest.Stack, setup report.Setup) *cluster.Cluster {
	t.Helper()
	if setup.System == "holdfast" {
		return order(t, s, setup)
	}
	return deployBaseline(t, s, setup)
}

// experiment does one run and judges it. It tells whether there is a result.
func experiment(t *testing.T, c *cluster.Cluster, f fault.Fault, run *report.Run) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	if err := (chaos.Experiment{Cluster: c, Fault: f, Say: t.Logf}).Run(ctx, run); err != nil {
		t.Errorf("%s, run %d: %v; logs are in %s", f.Name, run.Number, err, keepLogs(t, c, f))
		if errors.Is(err, chaos.ErrNotWhole) {
			t.FailNow() // no later run can begin
		}
		return false
	}
	if run.Decided != "" {
		t.Logf("decided: %s", run.Decided)
	}
	t.Logf("%s, run %d: write outage %.2f s, multi-host %.2f s, %d rows acknowledged, %d lost, whole after %s s", f.Name, run.Number,
		run.WriteOutage, run.MultiHostOutage, run.Acknowledged, run.Lost.Rows, report.Seconds(run.Healthy))
	if run.System != "holdfast" { // it promises nothing to us
		if run.Healthy == nil {
			t.Logf("logs are in %s", keepLogs(t, c, f))
		}
		return true
	}
	broken := run.Faults(f.Limit(c).Seconds())
	for _, fault := range broken {
		t.Errorf("%s, run %d: %s", f.Name, run.Number, fault)
	}
	if len(broken) > 0 {
		t.Logf("logs are in %s", keepLogs(t, c, f))
	}
	return true
}

// keepLogs saves the nodes' logs from the stack's removal.
func keepLogs(t *testing.T, c *cluster.Cluster, f fault.Fault) string {
	t.Helper()
	folder := filepath.Join(os.TempDir(), "holdfast-chaos", time.Now().UTC().Format("20060102-150405")+"-"+f.Name)
	if err := c.KeepLogs(folder); err != nil {
		t.Errorf("keep the logs: %v", err)
	}
	return folder
}

func done(before []report.Run, setup report.Setup, chosen []fault.Fault) bool {
	for _, f := range chosen {
		if report.Done(before, setup, f.Name) < *runs {
			return false
		}
	}
	return true
}

func read(t *testing.T, file report.File) []report.Run {
	t.Helper()
	all, err := file.Read()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func summary(t *testing.T, all []report.Run) {
	t.Helper()
	var text strings.Builder
	if err := report.Table(&text, all); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", text.String())
}

// version names the source's commit.
func version(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		t.Fatalf("ask git for the version: %v", err)
	}
	return strings.TrimSpace(string(out))
}
