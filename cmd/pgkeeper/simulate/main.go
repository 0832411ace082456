package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

// config is what the command line says.
type config struct {
	first     uint64
	schedules uint64
	workers   int
	trace     bool
	json      bool
	keepOn    bool
	opt       options
}

func parse(args []string, errs io.Writer) (config, error) {
	var c config
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Uint64Var(&c.first, "seed", 1, "first seed")
	flags.Uint64Var(&c.schedules, "schedules", 10000, "how many schedules to run, from the first seed on")
	flags.IntVar(&c.workers, "workers", runtime.NumCPU(), "schedules run at the same time")
	flags.BoolVar(&c.trace, "trace", false, "run only the first seed and tell what happens")
	flags.BoolVar(&c.json, "json", false, "print the summary as JSON")
	flags.BoolVar(&c.keepOn, "keep-on", false, "go on after a violation")
	flags.BoolVar(&c.opt.WithoutFence, "without-fence", false, "switch the fence off")
	flags.BoolVar(&c.opt.WithoutReceiverWait, "without-receiver-wait", false, "promote without waiting for walreceivers to end")
	flags.BoolVar(&c.opt.WithoutPromises, "without-promises", false, "do not keep promises not to challenge")
	if err := flags.Parse(args); err != nil {
		return c, fmt.Errorf("read the command line: %w", err)
	}
	return c, nil
}

func run(args []string, out, errs io.Writer) error {
	c, err := parse(args, errs)
	if err != nil {
		return err
	}
	if c.trace {
		return tell(c, out)
	}
	debug.SetGCPercent(-1) // little is alive at any moment
	debug.SetMemoryLimit(200 << 20)
	sum := campaign(c, errs)
	if c.json {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(sum); err != nil {
			return fmt.Errorf("print the summary: %w", err)
		}
	} else {
		sum.print(out)
	}
	if len(sum.Violations) > 0 && !c.opt.without() {
		return fmt.Errorf("%d schedules broke a rule", len(sum.Violations))
	}
	return nil
}

// tell runs one seed and prints its story, minimised when it breaks a rule.
func tell(c config, out io.Writer) error {
	plan := newSchedule(c.first)
	if first := play(plan, c.opt, nil); first.Violation != "" {
		plan = minimise(plan, c.opt, first.Violation)
	}
	fmt.Fprintf(out, "seed %d, %s, %d faults\n", plan.Seed, plan.Mode, len(plan.Faults))
	result := play(plan, c.opt, out)
	if result.Violation != "" {
		return fmt.Errorf("seed %d: %s: %s", plan.Seed, result.Violation, result.Detail)
	}
	return nil
}

// campaign runs the schedules on several workers.
func campaign(c config, progress io.Writer) summary {
	sum := summary{First: c.first, Off: c.opt}
	began := time.Now()
	var next, finished atomic.Uint64
	var stop atomic.Bool
	var mu sync.Mutex
	var group sync.WaitGroup
	done := make(chan struct{})
	for range max(c.workers, 1) {
		group.Go(func() {
			for !stop.Load() {
				i := next.Add(1) - 1
				if i >= c.schedules {
					return
				}
				o := play(newSchedule(c.first+i), c.opt, nil)
				finished.Add(1)
				mu.Lock()
				sum.add(o)
				mu.Unlock()
				if o.Violation != "" && !c.keepOn {
					stop.Store(true)
				}
			}
		})
	}
	go func() { group.Wait(); close(done) }()
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			n := finished.Load()
			fmt.Fprintf(progress, "%d of %d schedules, %.0f/s\n", n, c.schedules, float64(n)/time.Since(began).Seconds())
			continue
		case <-done:
		}
		break
	}
	sum.Seconds = time.Since(began).Seconds()
	sum.PerSecond = float64(sum.Schedules) / sum.Seconds
	sum.finish()
	return sum
}
