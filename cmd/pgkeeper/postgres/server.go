package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
)

// poll is the pause between two looks at something that is awaited.
const poll = 20 * time.Millisecond

const standbySignal = "standby.signal"

// MakeStandby has the server be a standby when it starts next.
func (c *Cluster) MakeStandby() error {
	if err := c.put(c.in(standbySignal), nil, 0o600); err != nil {
		return fmt.Errorf("make the server a standby: %w", err)
	}
	return nil
}

// Start starts the server through the guard and returns when its postmaster runs.
func (c *Cluster) Start(ctx context.Context, a decide.Start) error {
	c.sure()
	if a.Standby != exists(c.in(standbySignal)) {
		return errors.New("the data are not what the server is to be: not started")
	}
	if a.Standby {
		if err := c.dropSlotsOffline(); err != nil {
			return err
		}
	}
	want := conf{syncNames: a.SyncNames}
	rewound, err := c.expected()
	if err != nil {
		return err
	}
	if rewound != nil {
		want = conf{upstream: rewound.Node, address: rewound.Address, epoch: rewound.Epoch}
	}
	if err := c.writeConf(want); err != nil {
		return err
	}
	c.hook(ctx, c.settings.PostgreSQL.BeforeStart, time.Minute)
	deadline := a.Deadline
	if a.Standby || deadline == 0 {
		deadline = decide.Forever
	}
	if err := c.guard.Start(ctx, deadline); err != nil {
		return err
	}
	if len(c.settings.PostgreSQL.AfterStart) > 0 {
		go c.hook(context.WithoutCancel(ctx), c.settings.PostgreSQL.AfterStart, 24*time.Hour)
	}
	if rewound != nil {
		return c.becomeConsistent(ctx)
	}
	return nil
}

// Promote makes the standby the primary of exactly this timeline.
func (c *Cluster) Promote(ctx context.Context, a decide.Promote) error {
	c.sure()
	if err := c.writeConf(conf{syncNames: a.SyncNames}); err != nil {
		return err
	}
	if err := c.Reload(ctx); err != nil {
		return err
	}
	server, err := c.Observe(ctx)
	if err != nil {
		return err
	}
	if !server.InRecovery {
		return nil
	}
	if a.Timeline <= server.Timeline {
		return fmt.Errorf("promote to timeline %d: the server is on %d", a.Timeline, server.Timeline)
	}
	// PostgreSQL takes the number after the last in a row for which there is a
	// history file. One without ancestors is nobody's child: no standby follows it.
	for skipped := server.Timeline + 1; skipped < a.Timeline; skipped++ {
		path := c.in(fmt.Sprintf("pg_wal/%08X.history", skipped))
		if !exists(path) {
			if err := c.put(path, []byte("# skipped by pgkeeper\n"), 0o600); err != nil {
				return fmt.Errorf("skip timeline %d: %w", skipped, err)
			}
		}
	}
	return c.promote(ctx, a.Slots)
}

const (
	promoteWithin = time.Minute
	promotePoll   = 5 * time.Millisecond
)

// promote asks for the promotion and waits for its end. PostgreSQL's own wait
// looks only ten times a second.
func (c *Cluster) promote(ctx context.Context, slots []decide.Node) error {
	ctx, cancel := context.WithTimeout(ctx, promoteWithin)
	defer cancel()
	err := c.ask(ctx, func(conn *pgx.Conn) error {
		for _, node := range slots {
			if err := createSlot(ctx, conn, node); err != nil {
				c.log.Warn("a slot is not there before the promotion", "error", err)
			}
		}
		_, err := conn.Exec(ctx, "SELECT pg_promote(false)")
		return err
	})
	for standby := true; err == nil && standby; {
		err = c.ask(ctx, func(conn *pgx.Conn) error { return conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby) })
		if err == nil && standby {
			err = pauseFor(ctx, promotePoll, "its end")
		}
	}
	if err != nil {
		return fmt.Errorf("promote: %w", err)
	}
	return nil
}

// Detach ends the walreceiver and returns when it is gone and everything that
// was received has been replayed.
func (c *Cluster) Detach(ctx context.Context) error {
	if err := c.writeConf(conf{}); err != nil {
		return err
	}
	if err := c.Reload(ctx); err != nil {
		return err
	}
	return c.until(ctx, "the walreceiver to end", func(s decide.Server) bool {
		return s.Upstream == "" && s.ReceiverGone && s.Drained || !s.InRecovery
	})
}

// Follow points the standby at a primary.
func (c *Cluster) Follow(ctx context.Context, a decide.Follow) error {
	if err := c.writeConf(conf{upstream: a.Node, address: a.Address, epoch: a.Epoch}); err != nil {
		return err
	}
	if err := c.Reload(ctx); err != nil {
		return err
	}
	return c.until(ctx, "the new upstream", func(s decide.Server) bool { return s.Upstream == a.Node && s.UpstreamEpoch == a.Epoch })
}

// SetSyncNames sets who may acknowledge and returns when every process of the server has it.
func (c *Cluster) SetSyncNames(ctx context.Context, names []decide.Node) error {
	before, err := c.Observe(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.pending, c.unsure = before.SyncNames, true
	c.mu.Unlock()
	if err := c.writeConf(conf{syncNames: names}); err != nil {
		return err
	}
	if err := c.Reload(ctx); err != nil {
		return err
	}
	if err := c.syncNamesInForce(ctx, names); err != nil {
		return err
	}
	// The checkpointer tells all backends whether to wait at all. It reads its
	// configuration before it begins a checkpoint.
	if (len(before.SyncNames) == 0) != (len(names) == 0) {
		if err := c.Checkpoint(ctx); err != nil {
			return err
		}
	}
	c.sure()
	return nil
}

// syncNamesInForce waits until each walsender has taken the setting over.
func (c *Cluster) syncNamesInForce(ctx context.Context, names []decide.Node) error {
	for {
		s, err := c.look(ctx)
		if err != nil {
			return err
		}
		inForce := slices.Equal(parseSyncNames(s.SyncNames), names)
		for _, one := range s.Standbys {
			counts := one.Priority != nil && *one.Priority > 0
			if text(one.State) == "streaming" && counts != slices.Contains(names, decide.Node(one.Node)) {
				inForce = false
			}
		}
		if inForce {
			return nil
		}
		if err := pause(ctx, "synchronous_standby_names to be in force"); err != nil {
			return err
		}
	}
}

// sure forgets that names were set but are perhaps not in force.
func (c *Cluster) sure() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending, c.unsure = nil, false
}

// Reload has the server read its configuration again.
func (c *Cluster) Reload(ctx context.Context) error { return c.guard.Reload(ctx) }

// Checkpoint runs CHECKPOINT.
func (c *Cluster) Checkpoint(ctx context.Context) error {
	if err := c.exec(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// until waits for something that Observe sees.
func (c *Cluster) until(ctx context.Context, what string, holds func(decide.Server) bool) error {
	for {
		server, err := c.Observe(ctx)
		if err != nil {
			return err
		}
		if holds(server) {
			return nil
		}
		if err := pause(ctx, what); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, what string) error { return pauseFor(ctx, poll, what) }

func pauseFor(ctx context.Context, d time.Duration, what string) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", what, ctx.Err())
	}
}
