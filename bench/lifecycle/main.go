// Command lifecycle measures the life of a service instance on a real stack:
// provision (our share beside the director's own task), bind, unbind and
// deprovision, each beside its baseline in the same run. `make bench` runs it
// and records what it prints in bench/lifecycle.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/internal/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "lifecycle:", err)
		stop()
		os.Exit(1)
	}
}

type bench struct {
	binary    string
	folder    stack.Folder
	runs      int
	clusters  int
	broker    *osbclient.Broker
	service   osbclient.Service
	single    osbclient.Plan
	cluster   osbclient.Plan
	director  *directorWatch
	durations map[string][]time.Duration
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("lifecycle", flag.ContinueOnError)
	binary := flags.String("holdfast", "bin/holdfast", "the binary to measure")
	stemcell, release, compiled := flags.String("stemcell", "", "stemcell tarball"), flags.String("release", "", "release tarball"), flags.String("compiled-packages", "", "folder of compiled packages")
	runs := flags.Int("runs", 5, "instances to make; each is bound and unbound 5 times")
	clusters := flags.Int("clusters", 3, "clusters to make; each is bound and unbound once")
	record := flags.String("record", "", "file to write the result to as well")
	if err := flags.Parse(args); err != nil {
		return err
	}
	base, err := os.MkdirTemp("", "holdfast-bench-")
	if err != nil {
		return fmt.Errorf("make the bench's folder: %w", err)
	}
	defer os.RemoveAll(base)
	b := &bench{binary: *binary, folder: stack.Folder(filepath.Join(base, "stack")), runs: *runs, clusters: *clusters, durations: map[string][]time.Duration{}}
	defer b.holdfast(context.WithoutCancel(ctx), "down")
	fmt.Fprintln(os.Stderr, "starting the stack")
	if err := b.holdfast(ctx, "up", "--detach", "--stemcell", *stemcell, "--release", *release, "--compiled-packages", *compiled); err != nil {
		return err
	}
	if err := b.measure(ctx); err != nil {
		return err
	}
	report := b.report()
	if *record != "" {
		if err := os.WriteFile(*record, []byte(report), 0o644); err != nil {
			return fmt.Errorf("record the result: %w", err)
		}
	}
	_, err = io.WriteString(out, report)
	return err
}

func (b *bench) holdfast(ctx context.Context, args ...string) error {
	args = append(args, "--state", string(b.folder))
	if output, err := exec.CommandContext(ctx, b.binary, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("holdfast %s: %w\n%s", args[0], err, output)
	}
	return nil
}

func (b *bench) measure(ctx context.Context) error {
	content, err := os.ReadFile(b.folder.AccessFile())
	if err != nil {
		return fmt.Errorf("read how to reach the broker: %w", err)
	}
	var access stack.Access
	if err := json.Unmarshal(content, &access); err != nil {
		return fmt.Errorf("read how to reach the broker: %w", err)
	}
	b.broker = &osbclient.Broker{URL: access.URL, Username: access.Username, Password: secret.New(access.Password)}
	services, err := b.broker.Catalog(ctx)
	if err != nil {
		return err
	}
	b.service = services[0]
	for _, plan := range b.service.Plans {
		switch plan.Name {
		case "single-small":
			b.single = plan
		case "cluster-small":
			b.cluster = plan
		}
	}
	if b.director, err = watchDirector(b.folder); err != nil {
		return err
	}
	for i := range b.runs {
		fmt.Fprintf(os.Stderr, "instance %d of %d\n", i+1, b.runs)
		if err := b.life(ctx); err != nil {
			return err
		}
	}
	for i := range b.clusters {
		fmt.Fprintf(os.Stderr, "cluster %d of %d\n", i+1, b.clusters)
		if err := b.clusterLife(ctx); err != nil {
			return err
		}
	}
	return nil
}

// clusterLife makes a cluster, binds it and deletes it.
func (b *bench) clusterLife(ctx context.Context) error {
	id, binding := osbclient.NewID(), osbclient.NewID()
	if err := b.provision(ctx, "cluster: ", id, b.cluster); err != nil {
		return err
	}
	if err := b.bind(ctx, "cluster: ", id, binding, b.cluster); err != nil {
		return err
	}
	return b.deprovision(ctx, "cluster: ", id, b.cluster)
}

// life makes one instance, binds it a few times and deletes it.
func (b *bench) life(ctx context.Context) error {
	id := osbclient.NewID()
	if err := b.provision(ctx, "", id, b.single); err != nil {
		return err
	}
	baseline, err := openBaseline(ctx, b.folder, id)
	if err != nil {
		return err
	}
	defer baseline.close()
	for n := range 5 {
		if err := b.binding(ctx, id, fmt.Sprintf("b%d", n), baseline); err != nil {
			return err
		}
	}
	return b.deprovision(ctx, "", id, b.single)
}

func (b *bench) provision(ctx context.Context, what, id string, plan osbclient.Plan) error {
	return b.operation(ctx, what+"provision", id, plan, func() (osbclient.Started, error) {
		return b.broker.Provision(ctx, id, osbclient.InstanceRequest{ServiceID: b.service.ID, PlanID: plan.ID, OrgGUID: "org", SpaceGUID: "space"})
	})
}

func (b *bench) deprovision(ctx context.Context, what, id string, plan osbclient.Plan) error {
	return b.operation(ctx, what+"deprovision", id, plan, func() (osbclient.Started, error) {
		return b.broker.Deprovision(ctx, id, b.service.ID, plan.ID)
	})
}

// operation measures an asynchronous request, from the request to the first
// poll that shows its end, and the director's task within it.
func (b *bench) operation(ctx context.Context, name, id string, plan osbclient.Plan, start func() (osbclient.Started, error)) error {
	task := b.director.next(ctx)
	begin := time.Now()
	started, err := start()
	if err != nil {
		return err
	}
	for {
		last, err := b.broker.LastOperation(ctx, id, b.service.ID, plan.ID, started.Operation)
		if err != nil {
			return err
		}
		if last.State == "succeeded" {
			break
		}
		if last.State == "failed" {
			return fmt.Errorf("%s failed: %s", name, last.Description)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	whole := time.Since(begin)
	took := <-task
	if took.err != nil {
		return took.err
	}
	b.add(name, whole)
	b.add(name+", the director's task", took.took)
	b.add(name+", our share", whole-took.took)
	return nil
}

// binding measures a bind and an unbind, and what their SQL costs by itself.
func (b *bench) binding(ctx context.Context, instance, id string, baseline *baseline) error {
	raw, err := baseline.bind(ctx, id)
	if err != nil {
		return err
	}
	b.add("bind, its SQL alone", raw)
	return b.bind(ctx, "", instance, id, b.single)
}

func (b *bench) bind(ctx context.Context, what, instance, id string, plan osbclient.Plan) error {
	begin := time.Now()
	credentials, err := b.broker.Bind(ctx, instance, id, osbclient.BindRequest{ServiceID: b.service.ID, PlanID: plan.ID})
	if err != nil {
		return err
	}
	b.add(what+"bind", time.Since(begin))
	if credentials["uri"] == nil {
		return errors.New("the binding has no uri")
	}
	begin = time.Now()
	if err := b.broker.Unbind(ctx, instance, id, b.service.ID, plan.ID); err != nil {
		return err
	}
	b.add(what+"unbind", time.Since(begin))
	return nil
}

func (b *bench) add(name string, d time.Duration) { b.durations[name] = append(b.durations[name], d) }

func (b *bench) report() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# The life of an instance\n\n`make bench` wrote this: %d instances of plan %s and %d clusters of plan %s, on %d cores, %s.\n\n| what | n | median | min | max |\n| --- | --- | --- | --- | --- |\n",
		b.runs, b.single.Name, b.clusters, b.cluster.Name, runtime.NumCPU(), runtime.Version())
	for _, name := range []string{
		"provision", "provision, the director's task", "provision, our share", "bind", "bind, its SQL alone", "unbind",
		"deprovision", "deprovision, the director's task", "deprovision, our share",
		"cluster: provision", "cluster: provision, the director's task", "cluster: provision, our share", "cluster: bind", "cluster: unbind",
		"cluster: deprovision", "cluster: deprovision, the director's task", "cluster: deprovision, our share",
	} {
		if len(b.durations[name]) == 0 {
			continue
		}
		d := slices.Sorted(slices.Values(b.durations[name]))
		fmt.Fprintf(&out, "| %s | %d | %s | %s | %s |\n", name, len(d), show(median(d)), show(d[0]), show(d[len(d)-1]))
	}
	fmt.Fprintf(&out, "\nA bind costs %.1f × its SQL on an open connection (medians). The director's task is timed by polling it every 10 ms.\n",
		median(slices.Sorted(slices.Values(b.durations["bind"]))).Seconds()/median(slices.Sorted(slices.Values(b.durations["bind, its SQL alone"]))).Seconds())
	return out.String()
}

func median(sorted []time.Duration) time.Duration {
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func show(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
