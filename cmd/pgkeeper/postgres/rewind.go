package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/guard"
)

// Rewind makes the stopped server's data a standby's of another node. If it is
// interrupted the marker stays: such data can only be replaced.
func (c *Cluster) Rewind(ctx context.Context, a decide.Rewind) error {
	// PostgreSQL 15 reads the source's timeline from its control file, which a
	// promotion updates only with its first checkpoint.
	if err := c.checkpointOn(ctx, a); err != nil {
		return err
	}
	identity, err := c.identity()
	if err != nil {
		return err
	}
	memory, err := c.memory()
	if err != nil {
		return err
	}
	if err := c.recover(ctx); err != nil {
		return err
	}
	if err := c.put(c.marker(), []byte(string(identity)+"\n"), 0o600); err != nil {
		return fmt.Errorf("mark the rewind: %w", err)
	}
	_, err = c.run(ctx, "pg_rewind", "--target-pgdata="+c.data(), "--source-server="+c.conninfo(a.Address, c.settings.Login.Database),
		"--no-ensure-shutdown")
	if err != nil {
		return c.unmark(err)
	}
	// What it copied includes the other node's identity and memory.
	for _, foreign := range []string{ownFolder, "postmaster.pid", "postmaster.opts"} {
		if err := os.RemoveAll(c.in(foreign)); err != nil {
			return fmt.Errorf("remove what the rewind should not have copied: %w", err)
		}
	}
	if err := c.putIdentity(c.data(), identity); err != nil {
		return err
	}
	memory.Sole = false
	if err := c.Remember(memory); err != nil {
		return err
	}
	if err := c.put(c.in(autoConf), nil, 0o600); err != nil {
		return fmt.Errorf("clear what the rewind copied: %w", err)
	}
	if err := c.MakeStandby(); err != nil {
		return err
	}
	if err := c.expect(a); err != nil {
		return err
	}
	return c.clear(c.marker())
}

// upstreamFile says where a rewound server gets the log from that it needs to become consistent.
const upstreamFile = ownFolder + "/upstream.json"

// consistentWithin bounds how long that may take.
const consistentWithin = 5 * time.Minute

func (c *Cluster) expect(a decide.Rewind) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := c.put(c.in(upstreamFile), text, 0o600); err != nil {
		return fmt.Errorf("note where the rewound server gets its log from: %w", err)
	}
	return nil
}

// expected returns what a server that was rewound must follow from the first
// moment on, or nil.
func (c *Cluster) expected() (*decide.Rewind, error) {
	text, err := os.ReadFile(c.in(upstreamFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read where the rewound server gets its log from: %w", err)
	}
	a := &decide.Rewind{}
	if err := json.Unmarshal(text, a); err != nil {
		return nil, fmt.Errorf("read where the rewound server gets its log from: %w", err)
	}
	return a, nil
}

// becomeConsistent waits until the rewound server answers: then the rewind has
// ended. One that does not get there, because its source has gone too, can only be cloned.
func (c *Cluster) becomeConsistent(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, consistentWithin)
	defer cancel()
	for {
		_, fault := c.Observe(within)
		if fault == nil {
			return c.clear(c.in(upstreamFile))
		}
		state, err := c.guard.Get(within)
		if err == nil && state.Phase != guard.Gone {
			err = pause(within, "the rewound server to become consistent")
		} else if err == nil {
			err = errors.New("the rewound server has ended")
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return err // fenced, or the keeper ends: the next start tries again
		}
		rest := context.WithoutCancel(ctx)
		if killed := c.guard.Kill(rest, "rewound in vain"); killed != nil {
			return errors.Join(err, killed)
		}
		return errors.Join(err, fault, c.put(c.marker(), nil, 0o600))
	}
}

// unmark removes the marker when the rewind ended before it changed anything.
func (c *Cluster) unmark(fault error) error {
	for _, early := range []string{"could not find common ancestor", "could not connect", "connection to server", "must be shut down"} {
		if strings.Contains(fault.Error(), early) {
			return errors.Join(fault, c.clear(c.marker()))
		}
	}
	return fault
}

func (c *Cluster) checkpointOn(ctx context.Context, a decide.Rewind) error {
	conn, err := pgx.Connect(ctx, c.conninfo(a.Address, c.settings.Login.Database))
	if err != nil {
		return fmt.Errorf("log in to %s: %w", a.Node, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("checkpoint on %s: %w", a.Node, err)
	}
	return nil
}

// needsRecovery says whether pg_rewind cannot work on the data as they are: of
// a server that was not shut down, or that was a primary too briefly to note its
// timeline in the control file and a standby afterwards. PostgreSQL 15 would look
// for where they part on the timeline before.
func needsRecovery(at control, reach decide.Position) bool {
	return !strings.HasPrefix(at.state, "shut down") || reach.Timeline > at.timeline
}

// recover brings the data of a server that crashed to a clean end, in
// single-user mode: nobody can connect, nothing can be committed.
func (c *Cluster) recover(ctx context.Context) error {
	at, err := c.control(ctx)
	if err != nil {
		return err
	}
	reach, err := c.reach(at)
	if err != nil {
		return err
	}
	if !needsRecovery(at, reach) {
		return nil
	}
	for _, standby := range []string{"standby.signal", "recovery.signal", "postmaster.pid"} {
		if err := os.Remove(c.in(standby)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("prepare recovery: %w", err)
		}
	}
	if err := c.writeConf(conf{}); err != nil {
		return err
	}
	if _, err := c.run(ctx, "postgres", "--single", "-D", c.data(), "-c", "config_file="+c.settings.PostgreSQL.ConfigFile, "template1"); err != nil {
		return fmt.Errorf("recover what a crash left: %w", err)
	}
	return nil
}
