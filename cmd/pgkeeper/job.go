package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/guard"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/status"
)

// jobCommands are what the BOSH job's scripts call.
func (a *app) jobCommands() []*cobra.Command {
	var within time.Duration
	wait := &cobra.Command{
		Use: "wait", Short: "Wait until the node is a writable primary or a standby that has caught up; prints which, or waiting when only a primary is missing", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			role, err := a.wait(cmd.Context(), within)
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), role)
			}
			return err
		},
	}
	wait.Flags().DurationVar(&within, "timeout", 5*time.Minute, "how long")
	return []*cobra.Command{
		wait,
		{
			Use: "drain", Short: "Hand over when primary, then stop the server cleanly", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.drain(cmd.Context()) },
		},
		{
			Use: "stop", Short: "End guard, keeper and server; repeatable", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.stop(cmd.Context()) },
		},
	}
}

// leaderless is how long wait waits for a primary that does not come: longer than
// any takeover takes that can do without a node which BOSH has yet to bring back.
const leaderless = 12 * time.Second

// wait polls the keeper until the node does what it is there for. A member whose
// server is ready and that lacks nothing but a primary is let through in the end
// as waiting: after all nodes were stopped the last primary may be one that BOSH
// starts only when this one is done.
func (a *app) wait(ctx context.Context, within time.Duration) (string, error) {
	s, client, err := a.open()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	why := "the keeper does not answer"
	var alone time.Time
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		report, err := client.Status(attempt, s.Address, 0)
		cancel()
		if err == nil {
			if role := serves(report); role != "" {
				return role, nil
			}
			switch {
			case !lacksPrimary(report):
				alone = time.Time{}
			case alone.IsZero():
				alone = time.Now()
			case time.Since(alone) > leaderless:
				return "waiting", nil
			}
			why = fmt.Sprintf("%s: %s (server %s, consul %s)", report.Role, report.Why, report.Server, report.Consul)
		} else if ctx.Err() == nil {
			why = err.Error()
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the node is not in service after %s: %s", within, why)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// serves returns primary or standby for a node that is in service.
func serves(r status.Report) string {
	switch {
	case r.Writable:
		return "primary"
	case r.Streaming && r.Known && r.Lag < 16<<20 && r.Member():
		return "standby"
	}
	return ""
}

func lacksPrimary(r status.Report) bool {
	return r.Role == decide.Waiting && r.Server == "up" && r.Consul == "answers" && r.Member() && len(r.Members) > 1
}

// drain asks the keeper; when that is gone the server is stopped through the guard.
func (a *app) drain(ctx context.Context) error {
	s, client, err := a.open()
	if err != nil {
		return err
	}
	// A keeper that hangs must not hold up the drain.
	alive, cancel := context.WithTimeout(ctx, 3*time.Second)
	_, fault := client.Status(alive, s.Address, 0)
	cancel()
	bound := 2*time.Duration(s.PostgreSQL.StopWithin)*time.Second + 30*time.Second
	if fault == nil {
		within, cancel := context.WithTimeout(ctx, bound)
		defer cancel()
		if fault = grant(client.Ask(within, s.Address, 0, decide.Request{Ask: decide.AskDrain})); fault == nil {
			return nil
		}
	}
	fmt.Fprintln(os.Stderr, "the keeper did not drain the node, the server is stopped without it:", fault)
	err = guard.Client{Socket: s.Guard.Socket}.Stop(ctx, "fast", time.Duration(s.PostgreSQL.StopWithin)*time.Second)
	if err != nil && guardProcess(s) == 0 {
		return nil // nothing runs
	}
	return err
}

// stop ends everything. A guard that does not answer is killed, and what it leaves is swept.
func (a *app) stop(ctx context.Context) error {
	s, err := settings.Load(a.file)
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, time.Duration(s.PostgreSQL.StopWithin)*time.Second+20*time.Second)
	defer cancel()
	fault := guard.Client{Socket: s.Guard.Socket}.Quit(within)
	for began := time.Now(); fault == nil && guardProcess(s) != 0; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > time.Duration(s.PostgreSQL.StopWithin)*time.Second+20*time.Second {
			fault = errors.New("the guard does not end")
		}
	}
	if pid := guardProcess(s); pid != 0 {
		fmt.Fprintln(os.Stderr, "the guard is killed:", fault)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill the guard: %w", err)
		}
	}
	if err := guard.EndKeeper(s.Guard.Socket); err != nil {
		return err
	}
	_, err = guard.Sweep(s.PostgreSQL.Data)
	return err
}

// guardProcess returns the pid of the running guard. A pid file from before a
// reboot may name any process.
func guardProcess(s *settings.Settings) int {
	text, err := os.ReadFile(s.Guard.PIDFile)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return 0
	}
	command, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || !strings.Contains(string(command), "\x00guard\x00") {
		return 0
	}
	return pid
}

// repmgrCommands are what repmgrd calls. It starts, stops and promotes nothing by itself.
func (a *app) repmgrCommands() []*cobra.Command {
	return []*cobra.Command{
		{
			Use: "promote", Short: "repmgrd's election chose this node: look whether the lease is free", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return a.promote(cmd.Context()) },
		},
		{
			Use: "follow", Short: "repmgrd wants this node to follow a new primary: the keeper does by itself", Args: cobra.ArbitraryArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				role, err := a.wait(cmd.Context(), 30*time.Second)
				if err == nil && role == "waiting" {
					err = errors.New("there is no primary to follow")
				}
				return err
			},
		},
		{
			Use: "service VERB", Short: "Answer repmgr's wish to start, stop, restart or reload the server", Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error {
				return fmt.Errorf("%s: only the keeper does that", args[0])
			},
		},
	}
}

// promote triggers and waits until this node is the primary.
func (a *app) promote(ctx context.Context) error {
	s, client, err := a.open()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := grant(client.Ask(ctx, s.Address, 0, decide.Request{Ask: decide.AskTrigger})); err != nil {
		return err
	}
	for {
		report, err := client.Status(ctx, s.Address, 0)
		if err == nil && report.Writable {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not promoted: %s: %s", report.Role, report.Why)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
