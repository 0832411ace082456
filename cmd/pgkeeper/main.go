// Command pgkeeper keeps one PostgreSQL server of a cluster: guard and keeper
// are its two processes on each node, everything else asks them.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/guard"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/keeper"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/lease"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/postgres"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/status"
	"github.com/holdfast-osb/holdfast/internal/logging"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run builds the command tree, runs it and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(stderr, "pgkeeper:", err)
		return 1
	}
	return 0
}

// app is what all commands share.
type app struct{ file string }

func newRoot() *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use: "pgkeeper", Short: "Keeps a PostgreSQL server of a cluster", SilenceErrors: true, SilenceUsage: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentFlags().StringVar(&a.file, "config", "/var/vcap/jobs/postgresql/config/pgkeeper.json", "configuration `file`")
	root.AddCommand(a.guardCommand(), a.keeperCommand(), a.checkCommand())
	root.AddCommand(a.operatorCommands()...)
	root.AddCommand(a.jobCommands()...)
	root.AddCommand(a.repmgrCommands()...)
	return root
}

// small keeps low what a process takes that lives as long as the node and wakes up
// a dozen times a second for a moment's work: on several processors each of these
// wakes the others to look for work too.
func small(limit int64) {
	runtime.GOMAXPROCS(1)
	debug.SetMemoryLimit(limit)
}

func (a *app) guardCommand() *cobra.Command {
	return &cobra.Command{
		Use: "guard", Short: "Be the parent of the server and of its keeper; monit starts this", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			small(24 << 20)
			s, err := settings.Load(a.file)
			if err != nil {
				return err
			}
			own, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			g, err := guard.New(s, []string{own, "keeper", "--config", a.file}, newLog(s, "guard"))
			if err != nil {
				return err
			}
			return g.Run(cmd.Context())
		},
	}
}

func (a *app) keeperCommand() *cobra.Command {
	return &cobra.Command{
		Use: "keeper", Short: "Keep the server; the guard starts this", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			small(48 << 20)
			s, err := settings.Load(a.file)
			if err != nil {
				return err
			}
			return runKeeper(cmd.Context(), s, newLog(s, "keeper"))
		},
	}
}

func runKeeper(ctx context.Context, s *settings.Settings, log *slog.Logger) error {
	unlock, err := guard.LockKeeper(s.Guard.Socket)
	if err != nil {
		return err
	}
	defer unlock()
	cluster, err := postgres.New(s, log)
	if err != nil {
		return err
	}
	peers, err := status.NewClient(s)
	if err != nil {
		return err
	}
	if len(s.Consul.Servers) == 0 {
		store, err := lease.NewAlone(s.PostgreSQL.Data + ".lease.json")
		if err != nil {
			return err
		}
		return keeper.New(s, cluster, store, peers, log).Run(ctx)
	}
	store, err := lease.New(s)
	if err != nil {
		return err
	}
	return keeper.New(s, cluster, store, peers, log).Run(ctx)
}

func (a *app) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check-config", Short: "Check the configuration file", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := settings.Load(a.file)
			return err
		},
	}
}

func newLog(s *settings.Settings, part string) *slog.Logger {
	return logging.New(os.Stderr, part, s.LogLevel).With("node", string(s.Node))
}
