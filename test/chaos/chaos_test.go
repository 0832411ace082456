package chaos_test

import (
	"cmp"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos"
	"github.com/holdfast-osb/holdfast/test/chaos/report"
	"github.com/holdfast-osb/holdfast/test/stacktest"
)

var (
	runs     = flag.Int("runs", 1, "how many runs of each fault the results shall hold, unless -work says another number")
	work     = flag.String("work", "holdfast=tested", "what to run: SETUP=FAULTS, several separated by spaces; a setup is holdfast[/REPLICATION] or one of the baselines, faults are names or groups, separated by commas, each with :n for so many runs; what follows the word then begins when all before has ended")
	plan     = flag.String("plan", "single-small", "Holdfast's plan to test")
	clusters = flag.Int("clusters", 1, "how many clusters are tested at a time")
	within   = flag.Duration("within", 0, "begin no run after this time; 0: all are made")
	results  = flag.String("results", "", "file to append the results to; empty: one that is thrown away")
)

func TestChaos(t *testing.T) {
	orders, err := chaos.ParseOrders(*work, *runs, setupOf)
	if err != nil {
		t.Fatal(err)
	}
	file := report.File(cmp.Or(*results, filepath.Join(t.TempDir(), "results.jsonl")))
	before := read(t, file)
	if chaos.NewQueue(orders, before, 0, time.Time{}).Left() == 0 {
		t.Logf("%s holds all these runs already", file)
		return
	}
	b := &bed{t: t, stack: stacktest.Start(t, "--resurrection-delay", "1s", "--consul-servers", "3"), file: file, version: version(t)}
	b.open(orders)
	var last time.Time
	if *within > 0 {
		last = time.Now().Add(*within)
	}
	b.queue = chaos.NewQueue(orders, before, *clusters, last)
	b.progress.begin(b.queue.Left())
	var lanes sync.WaitGroup
	for i := range *clusters {
		lanes.Go(func() { (&lane{bed: b, number: i}).run(t.Context()) })
	}
	lanes.Wait()
	if left := b.queue.Left(); left > 0 {
		t.Logf("%d runs were not begun", left)
	}
	summary(t, read(t, file))
}

const holdfast = "holdfast"

// setupOf understands the name of a setup.
func setupOf(name string) (report.Setup, error) {
	system, replication, _ := strings.Cut(name, "/")
	if system == holdfast {
		return report.Setup{System: system, Plan: *plan, Replication: cmp.Or(replication, "none")}, nil
	}
	baseline, ok := baselines[system]
	if !ok || replication != "" {
		return report.Setup{}, fmt.Errorf("no setup is called %q", name)
	}
	return report.Setup{System: system, Plan: "three nodes", Replication: baseline.replication}, nil
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

// version names the source's commit. What was measured before is no part of it.
func version(t *testing.T) string {
	t.Helper()
	git := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "git", args...).Output()
		if err != nil {
			t.Fatalf("ask git for the version: %v", err)
		}
		return strings.TrimSpace(string(out))
	}
	name := git("describe", "--always")
	if git("status", "--porcelain", "--", ":/", ":(exclude,top)bench/failover") != "" {
		name += "-dirty"
	}
	return name
}
