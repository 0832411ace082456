package stack

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// part is one process of the stack.
type part struct {
	name  string
	args  []string // after the binary's own name
	ready func(context.Context) error
	// addresses are where it listens, TCP.
	addresses []string
}

// The pauses between restarts of a part that keeps dying.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
	// A part that ran this long starts with the first pause again.
	settled = 5 * time.Second
	// grace is how long a part may take to end by itself.
	grace = 20 * time.Second
	// maxLog bounds a part's log file, bytes; one older file is kept.
	maxLog = 32 << 20
)

// supervise keeps a part running until ctx ends, then ends it. It counts the
// part's deaths in deaths.
func (s *Stack) supervise(ctx context.Context, p part, deaths *atomic.Int64) {
	pause := firstPause
	for restarts := 0; ctx.Err() == nil; restarts++ {
		begin := time.Now()
		err := s.runOnce(ctx, p, restarts)
		if ctx.Err() != nil {
			return
		}
		deaths.Add(1)
		if time.Since(begin) > settled {
			pause = firstPause
		}
		s.log.Warn("a part ended and is started again", "name", p.name, "reason", fmt.Sprint(err), "pause", pause.String())
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// runOnce starts a part and waits for its end. When ctx ends the part gets
// SIGTERM, and SIGKILL after the grace.
func (s *Stack) runOnce(ctx context.Context, p part, restarts int) error {
	log, err := openLog(s.folder.LogFile(p.name))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, s.binary, p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	// Ctrl-C at a terminal reaches the supervisor only, which ends the parts in
	// their order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	process, err := identify(cmd.Process.Pid)
	if err == nil {
		process.Restarts = restarts
		err = writeJSON(s.folder.processFile(p.name), process)
	}
	if err != nil {
		s.log.Error("a part's process could not be recorded", "name", p.name, "error", err.Error())
	}
	return cmd.Wait()
}

// openLog opens a part's log for appending, moving one that is full aside.
func openLog(path string) (io.WriteCloser, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make log folder: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("rotate log: %w", err)
		}
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return log, nil
}

// hopeless is how often a part may die before it has answered once.
const hopeless = 3

// waitReady waits until a part answers.
func waitReady(ctx context.Context, p part, limit time.Duration, deaths *atomic.Int64) error {
	deadline := time.Now().Add(limit)
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := p.ready(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if deaths.Load() >= hopeless {
			return fmt.Errorf("the %s does not start", p.name)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the %s does not answer after %s: %w", p.name, limit, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
