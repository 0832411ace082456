package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos"
	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
	"github.com/holdfast-osb/holdfast/test/chaos/fault"
	"github.com/holdfast-osb/holdfast/test/chaos/lab"
	"github.com/holdfast-osb/holdfast/test/chaos/report"
	"github.com/holdfast-osb/holdfast/test/stacktest"
)

// bed is what all lanes share.
type bed struct {
	t       *testing.T
	stack   *stacktest.Stack
	network *lab.Network // one for all: it replaces its rules as a whole
	queue   *chaos.Queue
	file    report.File
	version string
	bosh    func(args ...string) error // nil: no baseline is tested

	standing atomic.Int32 // clusters that are being tested
	writing  sync.Mutex
	progress progress
}

const (
	runLimit = 10 * time.Minute
	// lostHope is how many clusters in a row may fail to be made.
	lostHope = 3
	patience = 2 * time.Minute
)

// lane runs one job after the other, on one cluster at a time.
type lane struct {
	*bed
	number  int
	setup   report.Setup
	cluster *cluster.Cluster // nil: none stands
	remove  func() error     // takes the cluster away
	made    int
	failed  int // clusters in a row that could not be made
}

func (l *lane) run(ctx context.Context) {
	defer l.queue.Leave(l.number)
	for l.failed < lostHope {
		next, ok := l.queue.Next(l.number)
		if !ok {
			break
		}
		if err := l.stand(ctx, next.Setup); err != nil {
			l.t.Errorf("%s: make a cluster of %s: %v", l, next.Setup.System, err)
			l.failed++
			l.back(next)
			continue
		}
		l.failed = 0
		if next.Job == nil {
			continue
		}
		if !next.Job.Fault.Suits(l.cluster) {
			l.drop(next)
			continue
		}
		l.make(ctx, next)
	}
	l.clear()
}

func (l *lane) String() string { return fmt.Sprintf("cluster %d", l.number) }

// stand has a cluster of a setup stand here.
func (l *lane) stand(ctx context.Context, setup report.Setup) error {
	if l.cluster != nil && l.setup == setup {
		return nil
	}
	l.clear()
	l.made++
	begin := time.Now()
	make := l.deploy
	if setup.System == holdfast {
		make = l.order
	}
	c, remove, err := make(ctx, setup, fmt.Sprintf("%s-%d-%d", setup.System, l.number, l.made))
	l.remove = remove
	if err != nil {
		return err
	}
	l.setup, l.cluster = setup, c
	l.standing.Add(1)
	l.t.Logf("%s: made one of %s %s in %.0f s", l, setup.System, setup.Replication, time.Since(begin).Seconds())
	return nil
}

// clear takes the lane's cluster away.
func (l *lane) clear() {
	if l.cluster != nil {
		l.standing.Add(-1)
		l.cluster.Close(context.WithoutCancel(l.t.Context()))
	}
	if l.remove != nil {
		if err := l.remove(); err != nil {
			l.t.Errorf("%s: remove it: %v", l, err)
		}
	}
	l.cluster, l.remove = nil, nil
}

// back gives a job back that was not made.
func (l *lane) back(next chaos.Work) {
	if next.Round != nil {
		next.Round.Leave()
	}
	if next.Job != nil && !l.queue.Again(next.Setup, *next.Job) {
		l.progress.drop(1)
	}
}

// drop takes all jobs away that the setup's clusters cannot suffer.
func (l *lane) drop(next chaos.Work) {
	if next.Round != nil {
		next.Round.Leave()
	}
	before := l.queue.Left()
	l.queue.Drop(next.Setup, func(f fault.Fault) bool {
		return !f.Suits(l.cluster)
	})
	l.t.Logf("%s does not suit %s, nor may others", next.Job.Fault.Name, next.Setup.System)
	l.progress.drop(1 + before - l.queue.Left())
}

// make makes one run and judges it.
func (l *lane) make(ctx context.Context, next chaos.Work) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	f := next.Job.Fault
	run := report.Run{Setup: next.Setup, Number: next.Job.Number, Version: l.version, Clusters: int(l.standing.Load())}
	say := func(format string, args ...any) {
		l.t.Logf("%s, %s %d: %s", l, f.Name, run.Number, fmt.Sprintf(format, args...))
	}
	err := chaos.Experiment{Cluster: l.cluster, Fault: f, Round: next.Round, Patience: patienceWith(next.Setup), Say: say}.Run(ctx, &run)
	if err != nil {
		l.t.Errorf("%s, %s of %s, run %d: %v; logs are in %s", l, f.Name, run.System, run.Number, err, l.keepLogs(f))
		if !l.queue.Again(next.Setup, *next.Job) {
			l.progress.drop(1)
		}
		if errors.Is(err, chaos.ErrNotWhole) {
			l.clear()
		}
		return
	}
	l.writing.Lock()
	err = l.file.Append(run)
	l.writing.Unlock()
	if err != nil {
		l.t.Error(err)
	}
	l.judge(f, run)
	if run.Failed() {
		l.repair(ctx)
	}
}

// repair does by hand what remained to be done, or has the cluster replaced.
func (l *lane) repair(ctx context.Context) {
	err := errors.New("nobody can")
	if l.cluster.Repair != nil {
		err = l.cluster.Repair(ctx)
	}
	if err != nil {
		l.t.Logf("%s: replaced, as it cannot be repaired: %v", l, err)
		l.clear()
	}
}

func (l *lane) judge(f fault.Fault, run report.Run) {
	l.t.Logf("%s: %s: %s", l.progress.done(), l, line(run))
	var broken []string
	if run.System == holdfast { // others promise nothing to us
		broken = run.Faults(f.Limit(l.cluster).Seconds(), f.Planned)
	}
	for _, fault := range broken {
		l.t.Errorf("%s of %s %s, run %d: %s", f.Name, run.System, run.Replication, run.Number, fault)
	}
	if len(broken) > 0 || run.Failed() {
		l.t.Logf("logs are in %s", l.keepLogs(f))
	}
}

func line(run report.Run) string {
	text := fmt.Sprintf("%s %s, %s, run %d: write outage %.2f s, multi-host %.2f s, %d rows acknowledged, %d lost", run.System, run.Replication, run.Fault, run.Number,
		run.WriteOutage, run.MultiHostOutage, run.Acknowledged, run.Lost.Rows)
	if run.Lag != nil {
		text += fmt.Sprintf(" (lag %d + %d)", run.Lag.Rows, run.Lag.After)
	}
	text += fmt.Sprintf(", whole after %s s, took %.0f s", report.Seconds(run.Healthy), run.Took)
	if run.Decided != "" {
		text += "; " + run.Decided
	}
	return text
}

// patienceWith is how long a cluster may take to be whole. repmgr leaves the old
// primary to its operator: it is no use to wait.
func patienceWith(setup report.Setup) time.Duration {
	if b, ok := baselines[setup.System]; ok && b.manifest == "repmgr" {
		return patience / 4
	}
	return patience
}

// keepLogs saves the nodes' logs from the stack's removal.
func (l *lane) keepLogs(f fault.Fault) string {
	folder := filepath.Join(os.TempDir(), "holdfast-chaos", fmt.Sprintf("%s-%s-%s-%d", time.Now().UTC().Format("20060102-150405"), l.setup.System, f.Name, l.number))
	if err := l.cluster.KeepLogs(folder); err != nil {
		l.t.Logf("keep the logs: %v", err)
	}
	return folder
}

// progress tells how far the runs are.
type progress struct {
	mu          sync.Mutex
	began       time.Time
	all, behind int
}

func (p *progress) begin(all int) { p.all, p.began = all, time.Now() }

func (p *progress) drop(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all -= n
}

// done counts one run more.
func (p *progress) done() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behind++
	left := p.all - p.behind
	each := time.Since(p.began) / time.Duration(p.behind)
	return fmt.Sprintf("%d of %d runs, about %.0f min left", p.behind, p.all, (each * time.Duration(left)).Minutes())
}
