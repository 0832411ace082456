package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/client"
	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
	"github.com/holdfast-osb/holdfast/test/chaos/fault"
	"github.com/holdfast-osb/holdfast/test/chaos/report"
)

// Times of one experiment.
const (
	readyLimit = 3 * time.Minute        // for the cluster to be whole before it
	warmUp     = 2 * time.Second        // of the clients, before the fault
	settle     = 8 * time.Second        // it must stay whole: longer than a lease
	rowsLimit  = 30 * time.Second       // for the rows to be read afterwards
	look       = 500 * time.Millisecond // between two looks at the whole
	lookLimit  = 15 * time.Second       // for one look
)

// ErrNotWhole tells that a cluster is not fit for an experiment to begin.
var ErrNotWhole = errors.New("the cluster is not whole before the fault")

// Experiment injects one fault into a cluster under load.
type Experiment struct {
	Cluster *cluster.Cluster
	Fault   fault.Fault
	Round   *Round // of a fault that strikes several clusters
	// Patience is how long it may take after the fault's end to be whole; then
	// it is stuck.
	Patience time.Duration
	Say      func(format string, args ...any)
}

// clients are those of one run.
type clients struct {
	clock   client.Clock
	writers []*client.Writer
	reader  *client.Reader // nil: no standby to read from
	// standbys are asked where replication is asynchronous.
	standbys []*client.Standby
	running  sync.WaitGroup
	stop     context.CancelFunc
}

// Run does it and fills in the run's figures. An error tells that there is no
// result; that the cluster stays broken is one.
func (e Experiment) Run(ctx context.Context, run *report.Run) error {
	begin := time.Now()
	primary, err := e.ready(ctx)
	if err != nil {
		return err
	}
	run.Began, run.Fault, run.Load = time.Now().UTC().Truncate(time.Second), e.Fault.Name, load()
	clients := e.start(ctx, primary, run.Replication == "async")
	defer clients.end()
	if err := wait(ctx, warmUp); err != nil {
		return err
	}
	seen, struck := report.Observed{Fault: clients.clock.Now()}, time.Now()
	if err := e.strike(ctx, primary); err != nil {
		return err
	}
	seen.Healed = clients.clock.Now()
	seen.Healthy = e.watch(ctx, clients.clock)
	seen.End = clients.clock.Now()
	clients.end()
	account := e.Cluster.Explain(ctx, struck)
	run.Decided = account.Decided
	if account.FenceLate != nil {
		late := account.FenceLate.Seconds()
		run.FenceLate = &late
	}
	if err := e.conclude(ctx, clients, seen, run); err != nil {
		return err
	}
	run.Took = time.Since(begin).Round(100 * time.Millisecond).Seconds()
	return nil
}

// ready waits until the cluster, and all others of the round, can begin.
func (e Experiment) ready(ctx context.Context) (cluster.Node, error) {
	var primary cluster.Node
	err := e.eventually(ctx, readyLimit, func(ctx context.Context) error {
		if err := e.Cluster.ConsulWhole(ctx); err != nil {
			return err
		}
		return e.Cluster.Prepare(ctx)
	})
	if err == nil {
		primary, err = e.Cluster.Primary(ctx)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrNotWhole, err)
	}
	switch {
	case e.Round == nil:
		return primary, err
	case err != nil:
		e.Round.Leave()
		return primary, err
	}
	return primary, e.Round.Ready(ctx)
}

// start lets the clients begin.
func (e Experiment) start(ctx context.Context, primary cluster.Node, asynchronous bool) *clients {
	c := e.Cluster
	ctx, stop := context.WithCancel(ctx)
	all := &clients{clock: client.NewClock(), stop: stop}
	all.writers = []*client.Writer{
		client.NewWriter(report.Alias, 1, all.clock, c.Login.To(c.Alias, c.Names)),
		client.NewWriter(report.MultiHost, 2, all.clock, c.Login.ToWritable(c.Hosts, c.Names)),
	}
	if e.Fault.Isolated {
		inside := func() (int, error) {
			vm, err := c.VM(primary)
			return vm.Init, err
		}
		all.writers = append(all.writers, client.NewWriter(report.Isolated, 3, all.clock, c.Login.From(inside, primary.Address)))
	}
	for _, w := range all.writers {
		all.running.Go(func() { w.Run(ctx) })
	}
	if c.ReplicaAlias != "" {
		all.reader = client.NewReader(all.clock, c.Login.To(c.ReplicaAlias, c.Names))
		all.running.Go(func() { all.reader.Run(ctx) })
	}
	if asynchronous {
		for _, standby := range c.Standbys(primary) {
			all.standbys = append(all.standbys, client.NewStandby(all.clock, c.Login.To(standby.Address, c.Names)))
		}
	}
	for _, s := range all.standbys {
		all.running.Go(func() { s.Run(ctx) })
	}
	return all
}

func (c *clients) end() {
	c.stop()
	c.running.Wait()
}

// strike injects the fault, holds it and heals it, whatever happens meanwhile.
func (e Experiment) strike(ctx context.Context, primary cluster.Node) (err error) {
	e.Say("%s: %s", e.Fault.Name, e.Fault.About)
	injections := []func() (fault.Heal, error){func() (fault.Heal, error) { return e.Fault.Inject(ctx, e.Cluster, primary) }}
	if e.Round != nil {
		shared := func() (fault.Heal, error) {
			return e.Round.Strike(func() (fault.Heal, error) { return e.Fault.Shared(ctx, e.Cluster) })
		}
		injections = append(injections, shared)
	}
	for _, inject := range injections {
		heal, failed := inject()
		if heal != nil {
			defer func() {
				// ctx may be what ended it: nothing may stay broken for that.
				if fault := heal(context.WithoutCancel(ctx)); fault != nil {
					err = errors.Join(err, fmt.Errorf("heal: %w", fault))
				}
			}()
		}
		if failed != nil {
			return fmt.Errorf("inject: %w", failed)
		}
	}
	return wait(ctx, e.Fault.Hold)
}

// watch returns when the cluster became whole to stay so; 0: it did not within
// the limit.
func (e Experiment) watch(ctx context.Context, clock client.Clock) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, e.Patience)
	defer cancel()
	var since time.Duration
	said := ""
	for {
		began := clock.Now()
		err := e.look(ctx)
		switch {
		case ctx.Err() != nil:
			return 0
		case err != nil:
			since = 0
			if said != err.Error() {
				said = err.Error()
				e.Say("not whole yet: %s", said)
			}
		case since == 0:
			since = clock.Now()
		case began-since >= settle:
			return since
		}
		if wait(ctx, look) != nil {
			return 0
		}
	}
}

func (e Experiment) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	return e.Cluster.Whole(ctx)
}

// conclude looks for every acknowledged row.
func (e Experiment) conclude(ctx context.Context, all *clients, seen report.Observed, run *report.Run) error {
	seen.Acks = map[string][]client.Ack{}
	for _, w := range all.writers {
		seen.Acks[w.Name] = w.Acks()
	}
	if all.reader != nil {
		seen.Reads = all.reader.Reads()
	}
	for _, s := range all.standbys {
		seen.Received = append(seen.Received, s.Seen())
	}
	err := e.eventually(ctx, rowsLimit, func(ctx context.Context) error {
		newest, err := e.Cluster.Newest(ctx)
		if err != nil {
			return err
		}
		seen.Stored, err = e.Cluster.Stored(ctx, newest)
		return err
	})
	if err != nil && seen.Healthy > 0 {
		return fmt.Errorf("look for the acknowledged rows: %w", err)
	}
	if err != nil {
		e.Say("nobody can be asked for the rows: %v", err)
	}
	seen.Measure(run)
	return nil
}

// eventually repeats f until it succeeds or the limit has passed.
func (e Experiment) eventually(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if wait(ctx, look) != nil {
			return fmt.Errorf("not after %s: %w", limit, err)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// load is the machine's average over the last minute; 0 when it cannot be read.
func load() float64 {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	var average float64
	if _, err := fmt.Sscan(string(content), &average); err != nil {
		return 0
	}
	return average
}
