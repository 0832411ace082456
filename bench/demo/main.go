// Command demo measures `make demo` as a newcomer sees it: in a fresh clone of the
// last commit with empty caches, then again with what that left. `make bench-demo`
// runs it and records what it prints in bench/demo.md.
package main

import (
	"bufio"
	"context"
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
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

// demo is one run of it.
type demo struct {
	lasted  time.Duration
	silence time.Duration // the longest between two lines
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	warm := flags.Int("warm", 5, "demos after the first, with its caches")
	record := flags.String("record", "", "file to write the result to as well")
	if err := flags.Parse(args); err != nil {
		return err
	}
	base, err := os.MkdirTemp("", "holdfast-bench-demo-")
	if err != nil {
		return fmt.Errorf("make the bench's folder: %w", err)
	}
	defer func() { err = errors.Join(err, remove(base)) }()
	clone := filepath.Join(base, "clone")
	if output, err := exec.CommandContext(ctx, "git", "clone", "--quiet", ".", clone).CombinedOutput(); err != nil {
		return fmt.Errorf("clone this repository: %w\n%s", err, output)
	}
	commit, err := exec.CommandContext(ctx, "git", "-C", clone, "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return fmt.Errorf("name the commit: %w", err)
	}
	var demos []demo
	for i := range 1 + *warm {
		fmt.Fprintf(os.Stderr, "demo %d of %d\n", i+1, 1+*warm)
		d, err := measure(ctx, base, clone)
		if err != nil {
			return err
		}
		demos = append(demos, d)
	}
	report := report(strings.TrimSpace(string(commit)), demos)
	if *record != "" {
		if err := os.WriteFile(*record, []byte(report), 0o644); err != nil {
			return fmt.Errorf("record the result: %w", err)
		}
	}
	fmt.Print(report)
	return nil
}

// caches are all that outlives a demo. They are moved to a folder of their own.
func caches(base string) []string {
	return []string{
		"HOLDFAST_CACHE=" + filepath.Join(base, "holdfast"), "GOCACHE=" + filepath.Join(base, "gocache"),
		"GOMODCACHE=" + filepath.Join(base, "gomod"), "XDG_CACHE_HOME=" + filepath.Join(base, "xdg"),
	}
}

// measure runs one demo. The error of a demo that fails ends with its last lines.
func measure(ctx context.Context, base, clone string) (demo, error) {
	cmd := exec.CommandContext(ctx, "make", "--no-print-directory", "-C", clone, "demo")
	// What this one was started by tells make about another tree.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") || strings.HasPrefix(v, "GOFLAGS=")
	})
	cmd.Env = append(cmd.Env, caches(base)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute // it cleans up
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr = write, write
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return demo{}, fmt.Errorf("start make: %w", err)
	}
	done := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		write.Close()
		done <- err
	}()
	var d demo
	var last []string
	said := begin
	lines := bufio.NewScanner(read)
	for lines.Scan() {
		now := time.Now()
		d.silence, said = max(d.silence, now.Sub(said)), now
		last = append(last[max(0, len(last)-19):], lines.Text())
	}
	read.CloseWithError(lines.Err()) // a line too long to read must not hold the demo up
	if err := <-done; err != nil {
		return demo{}, fmt.Errorf("make demo: %w\n%s", err, strings.Join(last, "\n"))
	}
	d.lasted = time.Since(begin)
	d.silence = max(d.silence, time.Since(said))
	fmt.Fprintf(os.Stderr, "  %.1f s, never silent for more than %.1f s\n", d.lasted.Seconds(), d.silence.Seconds())
	return d, nil
}

func report(commit string, demos []demo) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The demo\n\n`make bench-demo` wrote this at %s: `make demo` in a fresh clone, on %d cores, %s.\n\n", commit, runtime.NumCPU(), runtime.Version())
	b.WriteString("| demo | n | median | min | max | longest silence |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, row := range []struct {
		name  string
		demos []demo
	}{{"caches empty", demos[:1]}, {"caches as the first left them", demos[1:]}} {
		if len(row.demos) == 0 {
			continue
		}
		lasted := make([]float64, len(row.demos))
		var silence time.Duration
		for i, d := range row.demos {
			lasted[i], silence = d.lasted.Seconds(), max(silence, d.silence)
		}
		slices.Sort(lasted)
		fmt.Fprintf(&b, "| %s | %d | %.1f s | %.1f s | %.1f s | %.1f s |\n", row.name, len(lasted), lasted[len(lasted)/2], lasted[0], lasted[len(lasted)-1], silence.Seconds())
	}
	return b.String()
}

// remove removes the folder. Modules in a cache may not be written to.
func remove(base string) error {
	err := filepath.WalkDir(base, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return err
	})
	return errors.Join(err, os.RemoveAll(base))
}
