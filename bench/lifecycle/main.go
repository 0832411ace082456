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
	broker    *osbclient.Broker
	service   osbclient.Service
	plan      osbclient.Plan
	director  *directorWatch
	durations map[string][]time.Duration
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("lifecycle", flag.ContinueOnError)
	binary := flags.String("holdfast", "bin/holdfast", "the binary to measure")
	stemcell, release, compiled := flags.String("stemcell", "", "stemcell tarball"), flags.String("release", "", "release tarball"), flags.String("compiled-packages", "", "folder of compiled packages")
	runs := flags.Int("runs", 5, "instances to make; each is bound and unbound 5 times")
	record := flags.String("record", "", "file to write the result to as well")
	if err := flags.Parse(args); err != nil {
		return err
	}
	base, err := os.MkdirTemp("", "holdfast-bench-")
	if err != nil {
		return fmt.Errorf("make the bench's folder: %w", err)
	}
	defer os.RemoveAll(base)
	b := &bench{binary: *binary, folder: stack.Folder(filepath.Join(base, "stack")), runs: *runs, durations: map[string][]time.Duration{}}
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
	b.service, b.plan = services[0], services[0].Plans[0]
	if b.director, err = watchDirector(b.folder); err != nil {
		return err
	}
	for i := range b.runs {
		fmt.Fprintf(os.Stderr, "instance %d of %d\n", i+1, b.runs)
		if err := b.life(ctx); err != nil {
			return err
		}
	}
	return nil
}

// life makes one instance, binds it a few times and deletes it.
func (b *bench) life(ctx context.Context) error {
	id := osbclient.NewID()
	err := b.operation(ctx, "provision", id, func() (osbclient.Started, error) {
		return b.broker.Provision(ctx, id, osbclient.InstanceRequest{ServiceID: b.service.ID, PlanID: b.plan.ID, OrgGUID: "org", SpaceGUID: "space"})
	})
	if err != nil {
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
	return b.operation(ctx, "deprovision", id, func() (osbclient.Started, error) {
		return b.broker.Deprovision(ctx, id, b.service.ID, b.plan.ID)
	})
}

// operation measures an asynchronous request, from the request to the first
// poll that shows its end, and the director's task within it.
func (b *bench) operation(ctx context.Context, name, id string, start func() (osbclient.Started, error)) error {
	task := b.director.next(ctx)
	begin := time.Now()
	started, err := start()
	if err != nil {
		return err
	}
	for {
		last, err := b.broker.LastOperation(ctx, id, b.service.ID, b.plan.ID, started.Operation)
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
	begin := time.Now()
	credentials, err := b.broker.Bind(ctx, instance, id, osbclient.BindRequest{ServiceID: b.service.ID, PlanID: b.plan.ID})
	if err != nil {
		return err
	}
	b.add("bind", time.Since(begin))
	if credentials["uri"] == nil {
		return errors.New("the binding has no uri")
	}
	begin = time.Now()
	if err := b.broker.Unbind(ctx, instance, id, b.service.ID, b.plan.ID); err != nil {
		return err
	}
	b.add("unbind", time.Since(begin))
	return nil
}

func (b *bench) add(name string, d time.Duration) { b.durations[name] = append(b.durations[name], d) }

func (b *bench) report() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# The life of an instance\n\n`make bench` wrote this: %d instances, plan %s, on %d cores, %s.\n\n| what | n | median | min | max |\n| --- | --- | --- | --- | --- |\n",
		b.runs, b.plan.Name, runtime.NumCPU(), runtime.Version())
	for _, name := range []string{
		"provision", "provision, the director's task", "provision, our share", "bind", "bind, its SQL alone", "unbind",
		"deprovision", "deprovision, the director's task", "deprovision, our share",
	} {
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
