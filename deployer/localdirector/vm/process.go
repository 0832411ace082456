package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process names one process for good: its pid may be given to another one, but
// not with the same start time since the same boot of the machine.
type process struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"` // clock ticks since boot, field 22 of /proc/PID/stat
	BootID    string `json:"boot_id"`
}

// identify reads the identity of a running process.
func identify(pid int) (process, error) {
	start, state, err := readStat(pid)
	if err != nil {
		return process{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	if state == 'Z' || state == 'X' {
		return process{}, fmt.Errorf("identify process %d: it has ended", pid)
	}
	boot, err := bootID()
	if err != nil {
		return process{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	return process{PID: pid, StartTime: start, BootID: boot}, nil
}

// alive tells whether exactly this process runs.
func (p process) alive() bool {
	if p.PID <= 0 {
		return false
	}
	now, err := identify(p.PID)
	return err == nil && now == p
}

// handle opens a pidfd of exactly this process. It is os.ErrProcessDone when
// the process is gone.
func (p process) handle() (int, error) {
	if p.PID <= 0 {
		return -1, os.ErrProcessDone
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return -1, os.ErrProcessDone
	}
	if err != nil {
		return -1, fmt.Errorf("watch process %d: %w", p.PID, err)
	}
	// The pid is pinned now: what it names is what we look at.
	if !p.alive() {
		_ = unix.Close(fd)
		return -1, os.ErrProcessDone
	}
	return fd, nil
}

// kill ends the process, and with a namespace's init all processes in it, and
// waits until that is done. A process that is gone is no error.
func (p process) kill(ctx context.Context) error {
	fd, err := p.handle()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", p.PID, err)
	}
	for {
		ended, err := pollEnd(fd, 100*time.Millisecond)
		if err != nil {
			return fmt.Errorf("wait for process %d: %w", p.PID, err)
		}
		if ended {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("process %d does not end: %w", p.PID, context.Cause(ctx))
		}
	}
}

// wait returns when the process has ended or ctx has.
func (p process) wait(ctx context.Context) error {
	fd, err := p.handle()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	stop, wake, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", p.PID, err)
	}
	defer func() { _ = stop.Close() }()
	unhook := context.AfterFunc(ctx, func() { _ = wake.Close() })
	defer func() {
		if unhook() {
			_ = wake.Close()
		}
	}()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(stop.Fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait for process %d: %w", p.PID, err)
		case fds[0].Revents != 0:
			return nil
		default:
			return context.Cause(ctx)
		}
	}
}

func pollEnd(pidfd int, limit time.Duration) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(limit.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return n > 0, err
}

// readStat returns the start time and the state of /proc/PID/stat.
func readStat(pid int) (uint64, byte, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The command's name, in brackets, may contain anything.
	rest := string(raw[strings.LastIndexByte(string(raw), ')')+1:])
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return 0, 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	return start, fields[0][0], err
}

func bootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(raw)), err
}
