package guard

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A keeper that ends is started again at once; one that ends soon after its
// start only this much later.
const (
	keeperPause  = time.Second
	keeperSettle = 5 * time.Second
)

// A keeper that is alive and does nothing is killed, so that another begins: one
// that was stopped by a signal when a second look finds it so, in time to renew
// the lease; one that has said that it decides and says so no more after
// silentLooks. Looks are counted, not seconds: a machine that was frozen has made none.
const (
	keeperLook   = 500 * time.Millisecond
	stoppedLooks = 2
	silentLooks  = 20
)

// protect asks the kernel to spare the guard and to give it the orphans of a
// postmaster that was killed. Some containers allow neither.
func protect() {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-900"), 0o600)
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// reap takes note of children that ended.
func (g *Guard) reap() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	// A child may have ended before the signal was asked for, and signals merge.
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		for g.reapOne() {
		}
		select {
		case <-ended:
		case <-again.C:
		}
	}
}

// reapOne waits for a child that has ended and says whether there was one.
func (g *Guard) reapOne() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if err == syscall.EINTR {
		return true
	}
	if err != nil || pid <= 0 {
		return false
	}
	switch pid {
	case g.state.Postmaster:
		g.state.Postmaster, g.state.Phase, g.state.Ended = 0, Remains, describe(status)
		g.tell()
		go g.confirm()
	case g.keeperID:
		g.keeperID = 0
		g.tell()
		g.log.Warn("keeper ended", "status", describe(status))
	}
	return true
}

// confirm kills the backends of a postmaster that has ended: they can go on
// committing. When it returns none is left.
func (g *Guard) confirm() {
	killed, err := Sweep(g.settings.PostgreSQL.Data)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		g.log.Error("what is left of the server could not be killed", "error", err)
		return
	}
	if g.state.Phase == Remains {
		g.state.Phase = Gone
		g.log.Info("server gone", "ended", g.state.Ended, "left_behind", killed)
		g.tell()
	}
}

// keepKeeper starts the keeper and starts it again whenever it has ended.
func (g *Guard) keepKeeper() {
	if len(g.keeper) == 0 {
		return
	}
	go func() {
		for {
			began := time.Now()
			g.mu.Lock()
			if g.closing {
				g.mu.Unlock()
				return
			}
			pid, err := g.spawn.start(program{argv: g.keeper, env: os.Environ(), log: g.settings.Keeper.Log})
			g.keeperID, g.heard, g.silent = pid, false, 0
			g.mu.Unlock()
			if err != nil {
				g.log.Error("keeper does not start", "error", err)
			} else {
				g.log.Info("keeper started", "pid", pid)
				g.awaitKeeper(pid)
			}
			if time.Since(began) < keeperSettle {
				time.Sleep(keeperPause)
			}
		}
	}()
}

func (g *Guard) awaitKeeper(pid int) {
	look := time.NewTicker(keeperLook)
	defer look.Stop()
	stopped := 0
	for {
		g.mu.Lock()
		ended, changed := g.keeperID != pid, g.changed
		g.mu.Unlock()
		if ended {
			return
		}
		select {
		case <-changed:
		case <-look.C:
			if isStopped(pid) {
				stopped++
			} else {
				stopped = 0
			}
			g.replaceKeeper(pid, stopped)
		}
	}
}

// replaceKeeper kills the keeper when it does nothing any more.
func (g *Guard) replaceKeeper(pid, stopped int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	why := ""
	switch g.silent++; {
	case stopped >= stoppedLooks:
		why = "it was stopped by a signal"
	case g.heard && g.silent > silentLooks:
		why = "it says nothing"
	}
	if why == "" || g.keeperID != pid {
		return
	}
	g.log.Warn("keeper is killed", "why", why)
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// alive notes that the keeper decides.
func (g *Guard) alive() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.heard, g.silent = true, 0
}

// isStopped says whether a process was stopped by a signal or a debugger.
func isStopped(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The program's name stands in brackets and may hold anything.
	_, rest, found := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	return found && (strings.HasPrefix(rest, "T") || strings.HasPrefix(rest, "t"))
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal " + status.Signal().String()
	}
	return "exit status " + strconv.Itoa(status.ExitStatus())
}

// lockGuard makes the caller the node's only guard until it ends.
func lockGuard(socket string) (*os.File, error) {
	file, err := os.OpenFile(strings.TrimSuffix(socket, ".sock")+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the guard's lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("another guard runs: %w", err)
	}
	return file, nil
}

// lockPath is the file that a running keeper has locked and written its pid to.
func lockPath(socket string) string { return strings.TrimSuffix(socket, ".sock") + ".keeper" }

// LockKeeper makes the caller the node's only keeper until it ends.
func LockKeeper(socket string) (release func(), err error) {
	file, err := os.OpenFile(lockPath(socket), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the keeper's lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("another keeper runs: %w", err)
	}
	err = file.Truncate(0)
	if err == nil {
		_, err = file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("write the keeper's lock: %w", err)
	}
	return func() { file.Close() }, nil
}

// EndKeeper kills a keeper that runs, also one that an earlier guard started.
func EndKeeper(socket string) error {
	file, err := os.OpenFile(lockPath(socket), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the keeper's lock: %w", err)
	}
	defer file.Close()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if time.Since(began) > 5*time.Second {
			return fmt.Errorf("an earlier keeper does not end: %w", err)
		}
		text := make([]byte, 16)
		n, _ := file.ReadAt(text, 0)
		pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
		if err != nil || pid <= 1 {
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill an earlier keeper: %w", err)
		}
	}
}
