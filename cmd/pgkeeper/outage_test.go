package main

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/guard"
)

// pause returns the longest pause between two acknowledged writes from moment on, the present one included.
func (w *writer) pause(moment time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, longest := moment, time.Duration(0)
	for _, one := range w.acked {
		if one.at.After(moment) {
			longest = max(longest, one.at.Sub(last))
			last = one.at
		}
	}
	return max(longest, time.Since(last))
}

func (l *lab) bear(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	outer := l.t
	l.t = t
	defer func() { l.t = outer }()
	l.until(within, what, holds)
}

// TestConsulLost takes Consul away from a cluster: members that see each other
// promise not to challenge, so nothing stops. Without one of them the primary is fenced.
func TestConsulLost(t *testing.T) {
	l := newLab(t, "quorum", 3)
	for _, n := range l.nodes {
		n.start()
	}
	primary := l.healthy(60 * time.Second)
	where := func() *labNode { return primary } // the name cannot be asked for now
	w := l.newWriterTo(where)
	t.Run("all members see each other", func(t *testing.T) {
		moment := time.Now()
		l.consul.Freeze(true)
		defer l.consul.Freeze(false)
		l.bear(t, 30*time.Second, "15 s without Consul", func() bool { return time.Since(moment) > 15*time.Second })
		t.Logf("longest pause without Consul: %s", w.pause(moment))
		if got := w.pause(moment); got > 2*time.Second {
			t.Errorf("writes paused for %s", got)
		}
	})
	l.healthy(60 * time.Second)
	t.Run("a member is gone too", func(t *testing.T) {
		var other *labNode
		for _, n := range l.nodes {
			if n != primary {
				other = n
			}
		}
		l.consul.Freeze(true)
		moment := time.Now()
		other.die()
		l.bear(t, 20*time.Second, "the primary to be fenced", func() bool {
			pids, err := guard.Processes(primary.folder + "/store/data")
			return err == nil && len(pids) == 0
		})
		t.Logf("fenced %s after both were lost", time.Since(moment))
		l.consul.Freeze(false)
		l.bear(t, 30*time.Second, "a primary again", func() bool {
			report, err := primary.status()
			if err != nil {
				return false
			}
			for _, n := range l.nodes {
				if n != other && string(report.Primary) == n.name {
					again, err := n.status()
					return err == nil && again.Writable
				}
			}
			return false
		})
		other.start()
	})
	l.healthy(60 * time.Second)
	lost, acked := w.lost(t)
	t.Logf("%d rows acknowledged, %d lost", acked, lost)
	if lost != 0 {
		t.Errorf("%d acknowledged rows are lost", lost)
	}
}

// TestSoleMember never stops for Consul, not even to start again.
func TestSoleMember(t *testing.T) {
	l := newLab(t, "async", 1)
	n := l.nodes[0]
	n.start()
	l.healthy(60 * time.Second)
	answers := func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn, err := n.connect(ctx, "postgres")
		if err != nil {
			return false
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS t (i int)")
		return err == nil
	}
	l.until(5*time.Second, "the server to write", answers)
	l.consul.Stop()
	moment := time.Now()
	l.until(20*time.Second, "12 s without Consul", func() bool {
		if !answers() {
			t.Fatalf("no answer %s after Consul was lost", time.Since(moment))
		}
		return time.Since(moment) > 12*time.Second
	})
	l.signal(n.postmaster(), syscall.SIGKILL)
	t.Logf("writes again %s after kill -9, without Consul", l.until(20*time.Second, "writes after a crash", answers))
	if out, err := n.command("drain"); err != nil {
		t.Errorf("drain: %v %s", err, out)
	}
	n.stop()
	n.start()
	t.Logf("writes again %s after a restart of the node, without Consul", l.until(20*time.Second, "writes after a restart", answers))
	l.consul.Resume()
	l.healthy(30 * time.Second)
}

// TestWithoutConsul runs a single node that was given no Consul at all.
func TestWithoutConsul(t *testing.T) {
	l := newLabWith(t, "async", 1, nil, "")
	n := l.nodes[0]
	for _, what := range []string{"first start", "another start"} {
		n.start()
		if out, err := n.command("wait", "--timeout", "30s"); err != nil || out != "primary" {
			l.logs()
			t.Fatalf("%s: %v %s", what, err, out)
		}
		n.stop()
	}
	n.start()
	if _, err := n.command("wait", "--timeout", "30s"); err != nil {
		t.Fatal(err)
	}
	l.signal(n.postmaster(), syscall.SIGKILL)
	l.until(20*time.Second, "the server to be back", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		conn, err := n.connect(ctx, "repmgr")
		if err != nil {
			return false
		}
		defer conn.Close(ctx)
		return conn.Ping(ctx) == nil
	})
}

// TestFrozenNode freezes all of the primary's processes for longer than the
// lease: when they wake up another node leads, and they may acknowledge nothing.
func TestFrozenNode(t *testing.T) {
	l := newLab(t, "quorum", 3)
	for _, n := range l.nodes {
		n.start()
	}
	primary := l.healthy(60 * time.Second)
	w := l.newWriter()
	l.until(10*time.Second, "the writer to write", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.acked) > 20 })
	moment := time.Now()
	pids, err := guard.Processes(primary.folder + "/store/data")
	if err != nil {
		t.Fatal(err)
	}
	pids = append(pids, primary.keeper(), primary.guard.Process.Pid)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	outage := w.since(moment, 40*time.Second, primary.name)
	l.until(30*time.Second, "15 s", func() bool { return time.Since(moment) > 15*time.Second })
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	woken := time.Now()
	after := l.healthy(60 * time.Second)
	lost, acked := w.lost(t)
	fence := "none"
	if report, err := primary.status(); err == nil && report.Fence != nil {
		fence = report.Fence.At.Sub(woken).String()
	}
	t.Logf("outage %s, %s → %s, fenced %s after it woke up, whole after %s, %d acknowledged, %d lost",
		outage, primary.name, after.name, fence, time.Since(woken), acked, lost)
	if lost != 0 || outage > 12*time.Second || after == primary {
		t.Errorf("%d lost, outage %s, primary %s", lost, outage, after.name)
	}
	for _, one := range w.acked {
		if one.node == primary.name && one.at.After(woken) && after != primary {
			t.Errorf("the frozen primary acknowledged a row %s after it woke up", one.at.Sub(woken))
		}
	}
}
