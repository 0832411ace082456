package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/boottime"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
)

// Guard is the parent of the server.
type Guard struct {
	settings   *settings.Settings
	keeper     []string // command line; empty: none is kept
	log        *slog.Logger
	credential *syscall.Credential
	spawn      *spawner
	timer      *deadlineTimer

	// turn is held by whoever starts, stops or kills the server. The fence does not wait for it.
	turn sync.Mutex

	mu       sync.Mutex // guards what follows
	state    State
	changed  chan struct{} // closed and replaced at each change
	keeperID int
	heard    bool // the keeper has said that it decides
	silent   int  // looks at the keeper since it last did
	closing  bool
}

// New makes a guard that has not begun. keeper is the command that it keeps running.
func New(s *settings.Settings, keeper []string, log *slog.Logger) (*Guard, error) {
	credential, err := s.Credential()
	if err != nil {
		return nil, err
	}
	return &Guard{
		settings: s, keeper: keeper, log: log, credential: credential,
		spawn: newSpawner(), changed: make(chan struct{}),
		state: State{Phase: Gone, Deadline: decide.Forever},
	}, nil
}

// Run sweeps what an earlier guard left behind, then serves until ctx ends or a
// client asks it to quit; in the end neither server nor keeper is left.
func (g *Guard) Run(ctx context.Context) error {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	lock, err := lockGuard(g.settings.Guard.Socket)
	if err != nil {
		return err
	}
	defer lock.Close()
	protect()
	data := g.settings.PostgreSQL.Data
	if err := EndKeeper(g.settings.Guard.Socket); err != nil {
		return err
	}
	found, err := Sweep(data)
	if err != nil {
		return fmt.Errorf("sweep what an earlier guard left: %w", err)
	}
	g.log.Info("guard begins", "swept", found)
	if g.timer, err = newDeadlineTimer(g.fence); err != nil {
		return err
	}
	listener, err := listen(g.settings.Guard.Socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := os.WriteFile(g.settings.Guard.PIDFile, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
		return fmt.Errorf("write the pid file: %w", err)
	}
	defer os.Remove(g.settings.Guard.PIDFile)
	go g.reap()
	go g.serve(ctx, listener, quit)
	g.keepKeeper()
	<-ctx.Done()
	return g.close()
}

// close ends the keeper first, so that it does not work against what follows.
func (g *Guard) close() error {
	g.mu.Lock()
	g.closing = true
	keeper := g.keeperID
	g.mu.Unlock()
	if keeper > 0 {
		_ = syscall.Kill(keeper, syscall.SIGTERM)
		g.await(2*time.Second, func() bool { return g.keeperID == 0 })
		if err := EndKeeper(g.settings.Guard.Socket); err != nil {
			g.log.Error("the keeper does not end", "error", err)
		}
	}
	within := time.Duration(g.settings.PostgreSQL.StopWithin) * time.Second
	if err := g.stop("fast", within); err != nil {
		return err
	}
	g.log.Info("guard ends")
	return nil
}

// start starts the server with a deadline; a standby's is Forever.
func (g *Guard) start(deadline decide.Instant) error {
	g.turn.Lock()
	defer g.turn.Unlock()
	data := g.settings.PostgreSQL.Data
	g.mu.Lock()
	phase := g.state.Phase
	g.mu.Unlock()
	if phase == Running || phase == Stopping {
		return fmt.Errorf("the server is %s already", phase)
	}
	if _, err := Sweep(data); err != nil {
		return err
	}
	if err := removeStale(g.settings.PostgreSQL); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return errors.New("the guard is ending")
	}
	if !boottime.Now().Before(deadline) {
		return errors.New("the deadline has passed")
	}
	if err := g.timer.set(deadline); err != nil {
		return err
	}
	g.state.Deadline = deadline
	pid, err := g.spawn.start(program{
		argv:       []string{filepath.Join(g.settings.PostgreSQL.Bin, "postgres"), "-D", data, "-c", "config_file=" + g.settings.PostgreSQL.ConfigFile},
		env:        append(os.Environ(), "PG_OOM_ADJUST_FILE=/proc/self/oom_score_adj", "PG_OOM_ADJUST_VALUE=200"),
		log:        g.settings.PostgreSQL.Log,
		credential: g.credential, dieWithUs: true,
	})
	if err != nil {
		return err
	}
	g.state.Postmaster, g.state.Phase, g.state.Ended = pid, Running, ""
	g.state.Starts++
	g.tell()
	g.log.Info("server started", "pid", pid, "deadline", deadline.String())
	return nil
}

// stop asks the server to end and kills it when it does not within the bound.
func (g *Guard) stop(mode string, within time.Duration) error {
	signal, known := map[string]syscall.Signal{"smart": syscall.SIGTERM, "fast": syscall.SIGINT}[mode]
	if !known {
		return fmt.Errorf("stop: unknown mode %q", mode)
	}
	g.turn.Lock()
	defer g.turn.Unlock()
	g.mu.Lock()
	pid := g.state.Postmaster
	if pid > 0 {
		g.state.Phase = Stopping
		_ = syscall.Kill(pid, signal)
		g.tell()
	}
	g.mu.Unlock()
	clean := g.await(within, func() bool { return g.state.Phase == Gone })
	if !clean {
		g.log.Warn("no clean stop within the bound, the server is killed", "within", within)
	}
	return g.killAll()
}

// kill ends the server at once and sees that nothing of it is left.
func (g *Guard) kill(why string) error {
	g.log.Warn("server is killed", "why", why)
	return g.killAll()
}

// killAll stops the postmaster, so that it makes no new processes, kills them all
// and sees that none remains. The postmaster is killed by its number as well: one
// that has just begun does not work in the data directory yet.
func (g *Guard) killAll() error {
	pid := g.signal(0, syscall.SIGSTOP)
	if _, err := Sweep(g.settings.PostgreSQL.Data); err != nil {
		return err
	}
	g.signal(pid, syscall.SIGKILL)
	if !g.await(5*time.Second, func() bool {
		return g.state.Phase == Gone || pid != 0 && g.state.Postmaster != 0 && g.state.Postmaster != pid
	}) {
		return errors.New("the server was killed but does not go")
	}
	return nil
}

// signal signals the postmaster, if it is this one (0: whichever), and returns
// its pid. A child that has ended is reaped under the same lock, so the number is not another's.
func (g *Guard) signal(pid int, signal syscall.Signal) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state.Postmaster == 0 || pid != 0 && g.state.Postmaster != pid {
		return 0
	}
	_ = syscall.Kill(g.state.Postmaster, signal)
	return g.state.Postmaster
}

// extend moves the deadline; one that has passed stays.
func (g *Guard) extend(deadline decide.Instant) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := boottime.Now()
	if g.state.Phase != Gone && !now.Before(g.state.Deadline) {
		return errors.New("the deadline has passed")
	}
	if err := g.timer.set(deadline); err != nil {
		return err
	}
	g.state.Deadline = deadline
	return nil
}

// fence runs on the timer's thread when the deadline may have come.
func (g *Guard) fence() {
	g.mu.Lock()
	deadline, phase := g.state.Deadline, g.state.Phase
	passed := !boottime.Now().Before(deadline)
	g.mu.Unlock()
	if !passed || phase == Gone {
		return
	}
	pid := g.signal(0, syscall.SIGSTOP)
	stopped := boottime.Now().Sub(deadline)
	killed, err := Sweep(g.settings.PostgreSQL.Data)
	g.signal(pid, syscall.SIGKILL)
	if err == nil && !g.await(sweepWithin, func() bool { return g.state.Postmaster != pid || pid == 0 }) {
		err = errors.New("the postmaster was killed but does not go")
	}
	late := boottime.Now().Sub(deadline)
	if err != nil {
		g.log.Error("the server could not be fenced", "error", err)
		return
	}
	g.log.Warn("server fenced", "killed", killed, "stopped_after", stopped, "gone_after", late)
	g.mu.Lock()
	g.state.Fence = &Fencing{Deadline: deadline, Stopped: stopped, Late: late, Killed: killed, At: time.Now()}
	g.tell()
	g.mu.Unlock()
}

// tell wakes those who wait for a change. mu is held.
func (g *Guard) tell() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// await waits until holds, which is called with mu held, is true.
func (g *Guard) await(within time.Duration, holds func() bool) bool {
	bound := time.NewTimer(within)
	defer bound.Stop()
	for {
		g.mu.Lock()
		done, changed := holds(), g.changed
		g.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-changed:
		case <-bound.C:
			return false
		}
	}
}
