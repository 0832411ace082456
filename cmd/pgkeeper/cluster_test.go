package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// healthy waits until one node is a writable primary that the alias names and
// all others stream as members.
func (l *lab) healthy(within time.Duration) *labNode {
	l.t.Helper()
	var primary *labNode
	took := l.until(within, "a healthy cluster", func() bool {
		primary = nil
		for _, n := range l.nodes {
			report, err := n.status()
			if err != nil || len(report.Members) != len(l.nodes) {
				return false
			}
			switch serves(report) {
			case "primary":
				if primary != nil {
					return false
				}
				primary = n
			case "standby":
			default:
				return false
			}
		}
		return primary != nil && l.primary() == primary
	})
	l.t.Logf("healthy after %s, primary %s", took.Round(time.Millisecond), primary.name)
	for _, n := range l.nodes {
		if report, err := n.status(); err != nil || report.Age <= 0 || report.Age > 5*time.Second {
			l.t.Errorf("%s says that its position was read %s ago (%v)", n.name, report.Age, err)
		}
	}
	return primary
}

// fault is something that happens to the primary, and what an app may see of it.
type fault struct {
	name   string
	strike func(l *lab, primary *labNode)
	heal   func(l *lab, struck *labNode)
	// moves: another node must be primary afterwards.
	moves bool
	// outage is the longest pause between two acknowledged writes.
	outage time.Duration
}

var faults = []fault{
	{
		name: "kill -9 of PostgreSQL", moves: true, outage: 3 * time.Second,
		strike: func(l *lab, p *labNode) { l.signal(p.postmaster(), syscall.SIGKILL) },
	},
	{
		name: "switchover", moves: true, outage: 3 * time.Second,
		strike: func(l *lab, p *labNode) {
			if out, err := p.command("switchover"); err != nil {
				l.t.Errorf("switchover: %v %s", err, out)
			}
		},
	},
	{
		name: "kill -9 of the keeper", outage: 2 * time.Second,
		strike: func(l *lab, p *labNode) { l.signal(p.keeper(), syscall.SIGKILL) },
	},
	{
		name: "kill -9 of the guard", outage: 12 * time.Second,
		strike: func(_ *lab, p *labNode) { p.killGuard() },
		heal:   func(_ *lab, p *labNode) { p.start() },
	},
	{
		// The guard replaces it before the lease has run out.
		name: "keeper stopped", outage: 2 * time.Second,
		strike: func(l *lab, p *labNode) {
			stopped := p.keeper()
			l.signal(stopped, syscall.SIGSTOP)
			l.until(5*time.Second, "another keeper", func() bool { now := p.keeper(); return now != 0 && now != stopped })
		},
	},
	{
		name: "node dead", moves: true, outage: 12 * time.Second,
		strike: func(_ *lab, p *labNode) { p.die() },
		heal:   func(_ *lab, p *labNode) { p.start() },
	},
	{
		// Its promotion's checkpoint has not ended: the control file does not know the timeline yet.
		name: "node dead again", moves: true, outage: 12 * time.Second,
		strike: func(_ *lab, p *labNode) { p.die() },
		heal:   func(_ *lab, p *labNode) { p.start() },
	},
	{
		name: "reserve given up", moves: true, outage: 3 * time.Second,
		strike: func(l *lab, p *labNode) {
			if standby, err := l.nodes[0].status(); err != nil || standby.Disk != decide.Roomy {
				l.t.Skipf("this machine's own disk must have an eighth of its size left (%v)", err)
			}
			if err := os.Remove(p.folder + "/reserve"); err != nil {
				l.t.Fatal(err)
			}
		},
		heal: func(_ *lab, p *labNode) { p.put("reserve", "") },
	},
	{
		name: "drain", moves: true, outage: 3 * time.Second,
		strike: func(l *lab, p *labNode) {
			if out, err := p.command("drain"); err != nil {
				l.t.Errorf("drain: %v %s", err, out)
			}
			p.stop()
		},
		heal: func(_ *lab, p *labNode) { p.start() },
	},
}

func (l *lab) signal(pid int, signal syscall.Signal) {
	l.t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		l.t.Fatal(err)
	}
}

// TestFaults strikes the primary of a real cluster with quorum commit again and
// again: writes go on in time, no acknowledged row is lost, and the cluster is whole afterwards.
func TestFaults(t *testing.T) {
	l := newLab(t, "quorum", 3)
	for _, n := range l.nodes {
		n.start()
	}
	l.healthy(60 * time.Second)
	for _, f := range faults {
		if !t.Run(f.name, func(t *testing.T) { l.suffer(t, f) }) {
			break // the next would begin with a broken cluster
		}
	}
}

func (l *lab) suffer(t *testing.T, f fault) {
	outer := l.t
	l.t = t
	defer func() { l.t = outer }()
	before := l.healthy(60 * time.Second)
	w := l.newWriter()
	l.until(10*time.Second, "the writer to write", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.acked) > 20
	})
	moment := time.Now()
	f.strike(l, before)
	avoid := ""
	if f.moves {
		avoid = before.name
	}
	outage := w.since(moment, 40*time.Second, avoid)
	if f.heal != nil {
		f.heal(l, before)
	}
	healed := time.Now()
	after := l.healthy(60 * time.Second)
	lost, acked := w.lost(t)
	report, err := before.status()
	if err != nil {
		t.Error(err)
	}
	fence := "none"
	if report.Fence != nil {
		fence = report.Fence.Late.String()
	}
	t.Logf("%s: outage %s, %s → %s, whole %s after it was healed, %d rows acknowledged, %d lost, fence late by %s",
		f.name, outage.Round(time.Millisecond), before.name, after.name, time.Since(healed).Round(time.Millisecond), acked, lost, fence)
	if lost != 0 {
		t.Errorf("%d acknowledged rows are lost", lost)
	}
	if outage > f.outage {
		t.Errorf("outage of %s, at most %s is allowed", outage, f.outage)
	}
	if f.moves && after == before {
		t.Error("the primary's role did not move")
	}
}

// TestAsyncAndLostData: with asynchronous replication a planned switchover loses
// nothing and a crash at most the lag; a standby whose disk is gone comes back as a clone.
func TestAsyncAndLostData(t *testing.T) {
	l := newLab(t, "async", 3)
	for _, n := range l.nodes {
		n.start()
	}
	for _, f := range faults[:2] {
		before := l.healthy(60 * time.Second)
		w := l.newWriter()
		l.until(10*time.Second, "the writer to write", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.acked) > 20 })
		moment := time.Now()
		f.strike(l, before)
		// A crashed server starts again in its place when no standby has all it
		// wrote: with asynchronous replication that is as good as a move.
		other := ""
		if f.name == "switchover" {
			other = before.name
		}
		outage := w.since(moment, 40*time.Second, other)
		lost, acked := w.lost(t)
		t.Logf("%s: outage %s, %d rows acknowledged, %d lost", f.name, outage, acked, lost)
		if lost > 1 || f.name == "switchover" && lost > 0 {
			t.Errorf("%d rows are lost", lost)
		}
	}
	primary := l.healthy(60 * time.Second)
	for _, n := range l.nodes {
		if n == primary {
			continue
		}
		old, err := n.status()
		if err != nil {
			t.Fatal(err)
		}
		n.die()
		if err := os.RemoveAll(n.folder + "/store/data"); err != nil {
			t.Fatal(err)
		}
		n.start()
		l.healthy(60 * time.Second)
		if now, err := n.status(); err != nil || now.ID == old.ID || now.ID == "" {
			t.Errorf("%s: identity was %s, is %s: %v", n.name, old.ID, now.ID, err)
		}
		break
	}
}

// page is PostgreSQL's, of a log.
const page = 8192

// writeUpTo writes log up to way bytes before the end of a page, and returns
// where that is.
func (n *labNode) writeUpTo(way uint64) uint64 {
	n.lab.t.Helper()
	ctx, cancel := context.WithTimeout(n.lab.t.Context(), 10*time.Second)
	defer cancel()
	conn, err := n.connect(ctx, "postgres")
	if err != nil {
		n.lab.t.Fatal(err)
	}
	defer conn.Close(ctx)
	// A record takes a multiple of eight bytes, and what it holds besides the
	// message is the same each time.
	const write = `SELECT pg_logical_emit_message(false, 'x', repeat('x', $1))`
	at := func() (lsn uint64) {
		if err := conn.QueryRow(ctx, `SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint`).Scan(&lsn); err != nil {
			n.lab.t.Fatal(err)
		}
		return lsn
	}
	emit := func(bytes uint64) {
		if _, err := conn.Exec(ctx, write, bytes); err != nil {
			n.lab.t.Fatal(err)
		}
	}
	const long = 512 // its header is that of all longer ones
	for range 2 * page / long {
		before := at()
		emit(long)
		after := at()
		extra := after - before - long
		left := (page - way%page + page - after%page) % page
		if after-before < page/2 && left >= long+extra && left < page/2 {
			emit(left - extra)
			return at()
		}
	}
	n.lab.t.Fatal("no place in a page was found")
	return 0
}

// fork returns where the primary's timeline began: the end of the one before.
func (n *labNode) fork() uint64 {
	n.lab.t.Helper()
	files, err := filepath.Glob(n.folder + "/store/data/pg_wal/*.history")
	if err != nil || len(files) == 0 {
		n.lab.t.Fatalf("no history: %v", err)
	}
	text, err := os.ReadFile(slices.Max(files))
	if err != nil {
		n.lab.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	lsn, err := decide.ParseLSN(strings.Fields(lines[len(lines)-1])[1])
	if err != nil {
		n.lab.t.Fatal(err)
	}
	return uint64(lsn)
}

// TestManySwitchovers of a database that writes next to nothing leave no pile of
// log behind: PostgreSQL itself keeps a segment for each timeline. Once its way is
// known from what was written last to the end of the log, that end is put where a
// page ends: what follows it there is not even a page.
func TestManySwitchovers(t *testing.T) {
	l := newLab(t, "async", 3)
	for _, n := range l.nodes {
		n.start()
	}
	hits := 0 // logs that ended where a page does
	var way, last uint64
	for i := range 6 {
		primary := l.healthy(60 * time.Second)
		if i > 0 {
			end := primary.fork()
			if end%page == 0 {
				hits++
			}
			way = end - last
		}
		last = primary.writeUpTo(way)
		// Segments that were made ahead hold nothing and say nothing of their size.
		for i := range 16 {
			ahead := fmt.Sprintf("%s/store/data/pg_wal/00000001000000FF%08X", primary.folder, i)
			if err := errors.Join(os.WriteFile(ahead, nil, 0o644), os.Truncate(ahead, 16<<20)); err != nil {
				t.Fatal(err)
			}
		}
		// Right after it has come about, its keeper may not have heard of its standbys.
		l.until(10*time.Second, "a switchover", func() bool {
			out, err := primary.command("switchover")
			if err != nil && !strings.Contains(err.Error()+out, "no standby is fit") {
				t.Fatalf("switchover: %v %s", err, out)
			}
			return err == nil
		})
	}
	primary := l.healthy(60 * time.Second)
	if t.Logf("%d logs ended where a page does", hits); hits == 0 {
		t.Error("logs that do were not tested")
	}
	for _, n := range l.nodes {
		if log, err := os.ReadFile(n.folder + "/keeper.log"); err != nil || strings.Contains(string(log), "the end of the log is not certain") {
			t.Errorf("%s was not certain where its log ends (%v)", n.name, err)
		}
	}
	l.until(40*time.Second, "the log of old timelines to be removed", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		conn, err := primary.connect(ctx, "postgres")
		if err != nil {
			return false
		}
		defer conn.Close(ctx)
		var most int
		_, err = conn.Exec(ctx, "CHECKPOINT")
		if err == nil {
			err = conn.QueryRow(ctx, `SELECT max(copies) FROM
				(SELECT count(*) AS copies FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' GROUP BY right(name, 16)) segments`).Scan(&most)
		}
		return err == nil && most <= 4
	})
}
