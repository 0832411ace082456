package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
	"github.com/holdfast-osb/holdfast/internal/resolver"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/internal/stack"
)

// Config of a demo.
type Config struct {
	Stack stack.Config // Folder must not exist; Report is the demo's own
	// KeptLogs is a folder that a demo which fails makes for the parts' logs:
	// the cause of what a user is told is there.
	KeptLogs string
	Out      io.Writer
	Log      *slog.Logger
}

// Timing is how long one step took.
type Timing struct {
	Step    string  `json:"step"`
	Seconds float64 `json:"seconds"`
}

// What is shown.
const (
	serviceName = "postgresql"
	singlePlan  = "single-small"
	clusterPlan = "cluster-small"
)

// demo is one run.
type demo struct {
	config  Config
	begin   time.Time
	timings []Timing

	out    sync.Mutex // of config.Out: the cluster comes up in the background
	saidAt time.Time

	stack   *stack.Stack
	network stack.Network
	broker  *osbclient.Broker
	// lookup finds the addresses of names in credentials, without a change to
	// this machine's resolver.
	lookup func(ctx context.Context, host string) ([]string, error)

	service  osbclient.Service
	single   *instance
	cluster  *instance
	writer   *writer
	killed   node
	killedAt time.Time
}

// Run runs the demo and removes all it made, also when a step fails.
func Run(ctx context.Context, config Config) (timings []Timing, err error) {
	d := newDemo(config)
	running, end := context.WithCancel(ctx)
	defer func() {
		end()
		d.endBackground()
		if err != nil && ctx.Err() == nil {
			err = d.keepLogs(err)
		}
		// The context may be what ended the demo: clean up all the same.
		if cleanErr := d.cleanUp(context.WithoutCancel(ctx)); cleanErr != nil {
			err = errors.Join(err, cleanErr)
		}
		timings = d.timings
	}()
	for _, s := range d.steps() {
		if err := d.step(running, s.title, s.run); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// deadTime is how long the killed VM stays dead unless it is said otherwise: what
// is shown shall be a failover, not a reboot.
const deadTime = 4500 * time.Millisecond

func newDemo(config Config) *demo {
	config.Stack.ResurrectionDelay = cmp.Or(config.Stack.ResurrectionDelay, deadTime)
	return &demo{
		config: config, begin: time.Now(),
		single: newInstance(singlePlan, nil),
		// A failover then loses nothing that was acknowledged.
		cluster: newInstance(clusterPlan, map[string]any{"replication": "quorum"}),
	}
}

type step struct {
	title string
	run   func(context.Context) error
}

// steps are the whole demo: the life of a server, then a cluster that loses its
// primary. The cluster comes up while the first is shown.
func (d *demo) steps() []step {
	return []step{
		{"start the local stack: director, deployer, Consul, SPI, broker", d.startStack},
		{"ask the broker what it offers", d.readCatalog},
		{"order a cluster of three, plan " + clusterPlan + ", which comes up meanwhile", d.orderCluster},
		{"create a service instance of plan " + singlePlan, d.provision},
		{"bind it: get credentials", func(ctx context.Context) error { return d.bind(ctx, d.single) }},
		{"run SQL through exactly these credentials", d.useSQL},
		{"unbind: the login is gone", func(ctx context.Context) error { return d.unbind(ctx, d.single) }},
		{"delete the instance", d.removeSingle},
		{"wait until it is gone and the cluster is up", d.awaitBoth},
		{"bind the cluster: names of three nodes", func(ctx context.Context) error { return d.bind(ctx, d.cluster) }},
		{"write a row every 50 ms through the cluster's name", d.startWriter},
		{"kill the VM of the primary", d.killPrimary},
		{"count the acknowledged rows", d.countRows},
		{"wait until the killed node is back", d.awaitThirdNode},
		{"unbind and delete the cluster", d.removeCluster},
		{"look for what is left", d.lookAround},
	}
}

func (d *demo) step(ctx context.Context, title string, run func(context.Context) error) error {
	d.print("\n%6.1f s  %s\n", time.Since(d.begin).Seconds(), title)
	begin := time.Now()
	done := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() { d.tick(begin, done) })
	err := run(ctx)
	close(done)
	ticking.Wait()
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	d.timings = append(d.timings, Timing{Step: title, Seconds: time.Since(begin).Seconds()})
	return nil
}

// tick gives signs of life while a step has nothing to say.
func (d *demo) tick(begin time.Time, done <-chan struct{}) {
	tick := time.NewTicker(longestSilence / 2)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if d.silent(2 * longestSilence) {
				d.say("%5.1f s  …", time.Since(begin).Seconds())
			}
		}
	}
}

func (d *demo) say(format string, args ...any) {
	d.print("            "+format+"\n", args...)
}

func (d *demo) print(format string, args ...any) {
	d.out.Lock()
	defer d.out.Unlock()
	d.saidAt = time.Now()
	fmt.Fprintf(d.config.Out, format, args...)
}

// silent tells whether nothing was printed for so long.
func (d *demo) silent(long time.Duration) bool {
	d.out.Lock()
	defer d.out.Unlock()
	return time.Since(d.saidAt) > long
}

func (d *demo) startStack(ctx context.Context) (err error) {
	config := d.config.Stack
	config.Report, config.Log = d.say, d.config.Log
	if d.stack, err = stack.Up(ctx, config); err != nil {
		return err
	}
	if d.network, err = d.stack.Network(ctx); err != nil {
		return err
	}
	dns, names := d.stack.Resolver()
	d.lookup = resolver.Lookup(dns, names)
	access := d.stack.Access()
	d.broker = &osbclient.Broker{URL: access.URL, Username: access.Username, Password: secret.New(access.Password)}
	d.say("the broker answers on %s; VMs get addresses from %s", access.URL, d.network.Subnet)
	d.say("names in %s are answered on %s; this machine's own resolver is not touched", names, dns)
	return nil
}

func (d *demo) readCatalog(ctx context.Context) error {
	services, err := d.broker.Catalog(ctx)
	if err != nil {
		return err
	}
	for _, service := range services {
		for _, plan := range service.Plans {
			d.say("%-12s %-14s %s", service.Name, plan.Name, plan.Description)
			for _, in := range []*instance{d.single, d.cluster} {
				if service.Name == serviceName && plan.Name == in.planName {
					d.service, in.plan = service, plan
				}
			}
		}
	}
	for _, in := range []*instance{d.single, d.cluster} {
		if in.plan.ID == "" {
			return fmt.Errorf("the catalog has no %s %s", serviceName, in.planName)
		}
	}
	return nil
}

// lookAround checks that the director has nothing of the instance, then
// removes the stack and checks that the machine has nothing of the stack.
func (d *demo) lookAround(ctx context.Context) error {
	names, err := d.stack.Deployments()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("the director still has deployments: %v", names)
	}
	d.say("the director has no deployment but Consul's, which is a part of the stack")
	looks, looking := errgroup.WithContext(ctx)
	for _, in := range []*instance{d.single, d.cluster} {
		looks.Go(func() error { return d.gone(looking, in) })
	}
	if err := looks.Wait(); err != nil {
		return err
	}
	if err := d.cleanUp(ctx); err != nil {
		return err
	}
	left, err := stack.Leftovers(d.config.Stack.Folder, d.network)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("this machine still has %v", left)
	}
	d.say("the stack is removed: no process, mount, loop device, link, route or file of it is left")
	return nil
}

// endBackground waits for what goes on in the background; the context has ended.
func (d *demo) endBackground() {
	if d.writer != nil {
		d.writer.stop()
	}
	for _, in := range []*instance{d.single, d.cluster} {
		_ = in.settle() // the demo's own error says why it ended
	}
}

// keepLogs saves the logs from the clean-up and tells where they are.
func (d *demo) keepLogs(cause error) error {
	logs := d.config.Stack.Folder.LogDir()
	if _, err := os.Stat(logs); errors.Is(err, fs.ErrNotExist) {
		return cause // it failed before any part ran
	}
	if err := os.CopyFS(d.config.KeptLogs, os.DirFS(logs)); err != nil {
		return errors.Join(cause, fmt.Errorf("keep the logs: %w", err))
	}
	return fmt.Errorf("%w (logs: %s)", cause, d.config.KeptLogs)
}

// cleanUp removes the stack; one that is not there is no error.
func (d *demo) cleanUp(ctx context.Context) error {
	if d.stack != nil {
		d.say("ending the parts")
		d.stack.Stop()
		d.stack = nil
	}
	if _, err := os.Stat(string(d.config.Stack.Folder)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return stack.Down(ctx, d.config.Stack.Folder, d.say)
}
