package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/guard"
)

// stopPoll is the pause between two looks whether a stopping server has nothing left to do.
const stopPoll = 10 * time.Millisecond

// StopCleanly stops the server, fast mode; after the bound it is killed. A server
// that has written its last checkpoint, and sent it to its standbys, is killed as
// well: PostgreSQL 15 goes on answering that it shuts down for as long as clients
// ask, and ends only when none does.
func (c *Cluster) StopCleanly(ctx context.Context, within time.Duration) error {
	before, err := c.guard.Get(ctx)
	if err != nil {
		return err
	}
	c.hurry(before.Postmaster)
	ended := make(chan error, 1)
	go func() { ended <- c.guard.Stop(ctx, "fast", within) }()
	tick := time.NewTicker(stopPoll)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
		}
		if !c.isShutDown() {
			continue
		}
		busy, err := c.busyProcesses(before.Postmaster)
		if err != nil || len(busy) > 0 {
			continue
		}
		if err := c.guard.Kill(ctx, "it is shut down and only answers that it is"); err != nil {
			return err
		}
		return <-ended
	}
}

// haste is the nice value of processes that are to end soon.
const haste = -15

// hurry has the server's processes come before those that it will start only to
// tell new clients that it shuts down: many that try again at once can keep a
// small machine busy with that. Where the kernel does not allow it, it takes longer.
func (c *Cluster) hurry(postmaster int) {
	pids, err := children(postmaster)
	for _, pid := range pids {
		err = errors.Join(err, unix.Setpriority(unix.PRIO_PROCESS, pid, haste))
	}
	if err != nil {
		c.log.Debug("the stop cannot be hurried", "error", err)
	}
}

// The control file's state, a number after the system identifier and two
// versions (src/include/catalog/pg_control.h).
const (
	stateOffset        = 16
	shutDown           = 1
	shutDownInRecovery = 2
)

// isShutDown says whether the last checkpoint is on the disk: from then on
// nothing can commit.
func (c *Cluster) isShutDown() bool {
	content, err := os.ReadFile(c.in("global/pg_control"))
	if err != nil || len(content) < stateOffset+4 {
		return false
	}
	state := binary.NativeEndian.Uint32(content[stateOffset:])
	return state == shutDown || state == shutDownInRecovery
}

// busyProcesses returns those of the server that have work left when it shuts
// down: whoever sends or archives log, or is not known to have none.
func (c *Cluster) busyProcesses(postmaster int) ([]string, error) {
	pids, err := children(postmaster)
	if err != nil { // the kernel does not tell
		pids, err = guard.Processes(c.data())
	}
	if err != nil {
		return nil, err
	}
	var busy []string
	for _, pid := range pids {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue // it has ended
		}
		if title, kind := strings.CutPrefix(string(line), "postgres: "); kind && hasWork(title) {
			busy = append(busy, title)
		}
	}
	return busy, nil
}

// children returns the pids of a process's children: to look through all
// processes takes longer than the rest of a stop.
func children(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", pid))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, field := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		pids = append(pids, child)
	}
	return pids, nil
}

// hasWork tells by a process's title. Sessions are refused at this stage, so
// those that are there only say so.
func hasWork(title string) bool {
	for _, part := range []string{"walsender", "walreceiver", "checkpointer", "archiver", "walwriter", "background writer", "startup", "autovacuum", "logical replication"} {
		if strings.HasPrefix(title, part) {
			return true
		}
	}
	return false
}
