package lab

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is one in a VM.
type Process struct {
	PID, Parent int // as this machine numbers them
	Name        string
	Args        []string
}

// Processes lists the VM's processes.
func (v VM) Processes() ([]Process, error) {
	space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", v.Init))
	if err != nil {
		return nil, fmt.Errorf("look at the processes of VM %s: %w", v.CID, err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []Process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// Whatever ended meanwhile is none of the VM's any more.
		if its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err != nil || its != space {
			continue
		}
		stat, err := readStat(pid)
		if err != nil || stat.state == 'Z' {
			continue
		}
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue
		}
		found = append(found, Process{PID: pid, Parent: stat.parent, Name: stat.name, Args: strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")})
	}
	return found, nil
}

// Signal sends a signal to the processes that match, and fails when there is none.
func (v VM) Signal(signal unix.Signal, what string, match func(Process) bool) error {
	processes, err := v.Processes()
	if err != nil {
		return err
	}
	hit := 0
	for _, p := range processes {
		if !match(p) {
			continue
		}
		if err := unix.Kill(p.PID, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("send %v to the %s in VM %s: %w", signal, what, v.CID, err)
		}
		hit++
	}
	if hit == 0 {
		return fmt.Errorf("VM %s has no %s", v.CID, what)
	}
	return nil
}

type stat struct {
	name    string
	state   byte
	parent  int
	started uint64 // clock ticks since the machine's boot
}

func readStat(pid int) (stat, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name, in brackets, may contain anything.
	text := string(content)
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("/proc/%d/stat names no process", pid)
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	s := stat{name: text[open+1 : end], state: fields[0][0]}
	if s.parent, err = strconv.Atoi(fields[1]); err != nil {
		return stat{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	s.started, err = strconv.ParseUint(fields[19], 10, 64)
	return s, err
}
