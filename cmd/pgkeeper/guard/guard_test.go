package guard_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/boottime"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/guard"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
)

const programs = "/usr/lib/postgresql/15/bin"

// TestMain lets this program be the guard, in a process that can be killed.
func TestMain(m *testing.M) {
	if folder := os.Getenv("GUARD_FOLDER"); folder != "" {
		os.Exit(beGuard(folder))
	}
	os.Exit(m.Run())
}

func beGuard(folder string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	g, err := guard.New(configure(folder), []string{"/bin/sleep", "1000"}, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err == nil {
		err = g.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func configure(folder string) *settings.Settings {
	s := &settings.Settings{User: "postgres"}
	s.PostgreSQL = settings.PostgreSQL{
		Bin: programs, Data: folder + "/data", ConfigFile: folder + "/data/postgresql.conf", Log: folder + "/start.log", StopWithin: 10,
		SocketDirectory: folder, Port: 5432,
	}
	s.Guard = settings.Guard{Socket: folder + "/guard.sock", PIDFile: folder + "/guard.pid"}
	s.Keeper.Log = folder + "/keeper.log"
	return s
}

type node struct {
	t      *testing.T
	folder string
	client guard.Client
	guard  *exec.Cmd
	log    *bytes.Buffer
}

func newNode(t *testing.T) *node {
	t.Helper()
	folder, err := os.MkdirTemp("", "keeper-guard-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	n := &node{t: t, folder: folder, client: guard.Client{Socket: folder + "/guard.sock"}}
	if err := os.Chmod(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	n.asPostgres(filepath.Join(programs, "initdb"), "-D", folder+"/data", "-A", "trust", "--no-sync", "-U", "postgres")
	conf := fmt.Sprintf("\nlisten_addresses = ''\nunix_socket_directories = '%s'\nshared_buffers = 16MB\n", folder)
	file, err := os.OpenFile(folder+"/data/postgresql.conf", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(conf); err != nil {
		t.Fatal(err)
	}
	n.begin()
	return n
}

func (n *node) begin() {
	n.t.Helper()
	n.log = &bytes.Buffer{}
	n.guard = exec.Command(os.Args[0])
	n.guard.Env = append(os.Environ(), "GUARD_FOLDER="+n.folder)
	n.guard.Stderr = n.log
	if err := n.guard.Start(); err != nil {
		n.t.Fatal(err)
	}
	guardProcess := n.guard
	n.t.Cleanup(func() { n.end(guardProcess) })
	n.until("the guard answers", func() bool { _, err := n.client.Get(n.ctx()); return err == nil })
}

// end ends a guard that still runs and what it leaves.
func (n *node) end(process *exec.Cmd) {
	if process.ProcessState == nil {
		_ = process.Process.Signal(syscall.SIGTERM)
		_ = process.Wait()
	}
	if n.t.Failed() {
		started, _ := os.ReadFile(n.folder + "/start.log")
		n.t.Logf("%s\n%s", n.log, started)
	}
	if _, err := guard.Sweep(n.folder + "/data"); err != nil {
		n.t.Error(err)
	}
}

func (n *node) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	n.t.Cleanup(cancel)
	return ctx
}

func (n *node) asPostgres(argv ...string) *exec.Cmd {
	n.t.Helper()
	cmd := exec.Command("setpriv", append([]string{"--reuid", "postgres", "--regid", "postgres", "--init-groups"}, argv...)...)
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v\n%s", argv[0], err, out)
	}
	return cmd
}

func (n *node) until(what string, holds func() bool) {
	n.t.Helper()
	for began := time.Now(); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			n.t.Fatalf("not in time: %s\n%s", what, n.log)
		}
	}
}

func (n *node) start(deadline decide.Instant) {
	n.t.Helper()
	if err := n.client.Start(n.ctx(), deadline); err != nil {
		n.t.Fatal(err)
	}
	n.until("the server answers", func() bool {
		return exec.Command(programs+"/pg_isready", "-q", "-h", n.folder, "-U", "postgres").Run() == nil
	})
}

// busy begins a statement that does not look up before it ends: it outlives a postmaster that is killed.
func (n *node) busy() {
	n.t.Helper()
	cmd := exec.Command(programs+"/psql", "-XqAt", "-h", n.folder, "-U", "postgres", "-c",
		"DO 'DECLARE n bigint := 0; BEGIN LOOP n := n + 1; END LOOP; END'")
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	n.until("the session works", func() bool {
		out, err := exec.Command(programs+"/psql", "-XqAt", "-h", n.folder, "-U", "postgres", "-c",
			"SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'").Output()
		return err == nil && strings.TrimSpace(string(out)) == "1"
	})
}

func (n *node) left() []int {
	n.t.Helper()
	pids, err := guard.Processes(n.folder + "/data")
	if err != nil {
		n.t.Fatal(err)
	}
	return pids
}

func (n *node) state() guard.State {
	n.t.Helper()
	state, err := n.client.Get(n.ctx())
	if err != nil {
		n.t.Fatal(err)
	}
	return state
}

func TestStartAndStop(t *testing.T) {
	n := newNode(t)
	n.start(decide.Forever)
	if err := n.client.Start(n.ctx(), decide.Forever); err == nil {
		t.Error("a second start was not refused")
	}
	if got := len(n.left()); got < 3 {
		t.Errorf("processes of a running server: got %d", got)
	}
	for range 2 {
		if err := n.client.Stop(n.ctx(), "fast", 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.state(); got.Phase != guard.Gone || got.Ended != "exit status 0" {
		t.Errorf("after a clean stop: %+v", got)
	}
	if err := n.client.Start(n.ctx(), boottime.Now()); err == nil {
		t.Error("a start with a deadline that has passed was not refused")
	}
}

func TestServerIsKilledAtItsDeadline(t *testing.T) {
	n := newNode(t)
	n.start(boottime.Now().Add(5 * time.Second))
	n.busy()
	deadline := boottime.Now().Add(500 * time.Millisecond)
	if _, err := n.client.Extend(n.ctx(), deadline); err != nil {
		t.Fatal(err)
	}
	n.until("the server is fenced", func() bool { return n.state().Fence != nil })
	if left := n.left(); len(left) != 0 {
		t.Errorf("processes are left: %v", left)
	}
	fence := n.state().Fence
	t.Logf("postmaster stopped %s late, %d processes gone %s late", fence.Stopped, fence.Killed, fence.Late)
	if fence.Deadline != deadline || fence.Stopped < 0 || fence.Late > time.Second {
		t.Errorf("fence: %+v", *fence)
	}
	n.until("the guard has seen it", func() bool { return n.state().Phase == guard.Gone })
	n.start(boottime.Now().Add(20 * time.Second))
}

func TestDeadlineThatIsExtendedDoesNotFence(t *testing.T) {
	n := newNode(t)
	n.start(boottime.Now().Add(time.Second))
	for began := time.Now(); time.Since(began) < 3*time.Second; time.Sleep(100 * time.Millisecond) {
		if _, err := n.client.Extend(n.ctx(), boottime.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.state(); got.Phase != guard.Running || got.Fence != nil {
		t.Errorf("got %+v", got)
	}
}

func TestBackendsOfAKilledPostmasterAreKilled(t *testing.T) {
	n := newNode(t)
	n.start(decide.Forever)
	n.busy()
	if err := syscall.Kill(n.state().Postmaster, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	n.until("the guard says that it is gone", func() bool { return n.state().Phase == guard.Gone })
	t.Logf("gone %s after the kill", time.Since(began))
	if left := n.left(); len(left) != 0 {
		t.Errorf("processes are left: %v", left)
	}
	if got := n.state().Ended; got != "signal killed" {
		t.Errorf("ended: got %q", got)
	}
}

func TestGuardsDeathEndsTheServer(t *testing.T) {
	n := newNode(t)
	n.start(decide.Forever)
	n.busy()
	postmaster := n.state().Postmaster
	_ = n.guard.Process.Kill()
	_ = n.guard.Wait()
	n.until("the postmaster is dead", func() bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(postmaster) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
	if len(n.left()) == 0 {
		t.Error("the busy session did not outlive the postmaster: this test proves nothing")
	}
	n.begin()
	if left := n.left(); len(left) != 0 {
		t.Errorf("a new guard leaves processes: %v", left)
	}
	n.start(decide.Forever)
}

// keeper waits for the one keeper that the guard keeps, other than those before.
func (n *node) keeper(before ...int) int {
	n.t.Helper()
	var pids []int
	n.until("a keeper runs", func() bool {
		out, _ := exec.Command("ps", "--no-headers", "-o", "pid,args", "--ppid", strconv.Itoa(n.guard.Process.Pid)).Output()
		pids = nil
		for line := range strings.Lines(string(out)) {
			fields := strings.Fields(line)
			if len(fields) > 1 && fields[1] == "/bin/sleep" {
				pid, _ := strconv.Atoi(fields[0])
				pids = append(pids, pid)
			}
		}
		return len(pids) == 1 && !slices.Contains(before, pids[0])
	})
	return pids[0]
}

// TestKeeperThatDoesNothing is replaced: when a signal stopped it, and when it has
// said that it decides and does so no more.
func TestKeeperThatDoesNothing(t *testing.T) {
	n := newNode(t)
	first := n.keeper()
	if err := syscall.Kill(first, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	second := n.keeper(first)
	if err := n.client.Alive(n.ctx()); err != nil {
		t.Fatal(err)
	}
	n.keeper(first, second)
	if err := n.client.Quit(n.ctx()); err != nil {
		t.Fatal(err)
	}
	_ = n.guard.Wait()
	if !strings.Contains(n.log.String(), "it was stopped by a signal") || !strings.Contains(n.log.String(), "it says nothing") {
		t.Error("the guard does not say why")
	}
}

func TestKeeperIsStartedAgain(t *testing.T) {
	n := newNode(t)
	first := n.keeper()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := n.keeper(first)
	if err := n.client.Quit(n.ctx()); err != nil {
		t.Fatal(err)
	}
	_ = n.guard.Wait()
	if syscall.Kill(second, 0) == nil {
		t.Error("the keeper outlives a guard that was asked to quit")
	}
}

func TestSecondGuardLeavesTheFirstAlone(t *testing.T) {
	n := newNode(t)
	n.start(decide.Forever)
	before := n.state()
	second := exec.Command(os.Args[0])
	second.Env = append(os.Environ(), "GUARD_FOLDER="+n.folder)
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "another guard runs") {
		t.Errorf("a second guard: %v: %s", err, out)
	}
	if after := n.state(); after.Postmaster != before.Postmaster || after.Phase != guard.Running {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestServerThatHasJustBegunIsKilled(t *testing.T) {
	n := newNode(t)
	for range 20 {
		if err := n.client.Start(n.ctx(), decide.Forever); err != nil {
			t.Fatal(err)
		}
		pid := n.state().Postmaster
		if err := n.client.Kill(n.ctx(), "test"); err != nil {
			t.Fatal(err)
		}
		if got := n.state().Phase; got != guard.Gone {
			t.Fatalf("after a kill: %s", got)
		}
		if pid != 0 && syscall.Kill(pid, 0) == nil {
			t.Fatal("the postmaster lives on")
		}
	}
}
