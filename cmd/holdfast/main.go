// Command holdfast is every part of Holdfast in one binary: the broker, the
// PostgreSQL SPI, the deployer and the local director as processes of their
// own, the all-in-one stack that starts them, and an OSB client.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run builds the command tree, runs it and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var status exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case ctx.Err() != nil:
		// "context canceled" is no word for people.
		fmt.Fprintln(stderr, "holdfast:", strings.ReplaceAll(err.Error(), context.Canceled.Error(), "interrupted"))
		return interrupted
	}
	fmt.Fprintln(stderr, "holdfast:", err)
	return 1
}

// interrupted is the exit status after Ctrl-C, as shells have it.
const interrupted = 130

// exitStatus ends the process with a status and without a further word.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "holdfast",
		Short:         "Dedicated data services for Cloud Foundry and every Open Service Broker platform",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddGroup(
		&cobra.Group{ID: groupStack, Title: "Everything on this machine:"},
		&cobra.Group{ID: groupClient, Title: "Service instances, through any OSB broker:"},
		&cobra.Group{ID: groupPart, Title: "The parts, each a process of its own:"},
	)
	root.AddCommand(newUpCommand(), newStatusCommand(), newDownCommand(), newDemoCommand(), newClusterCommand())
	addClientCommands(root)
	root.AddCommand(newBrokerCommand(), newSPICommand(), newDeployerCommand(), newDirectorCommand(), newResolverCommand())
	return root
}

// withUsage makes a wrong number of arguments answer with what is wanted.
func withUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check(cmd, args) != nil {
			return fmt.Errorf("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

const (
	groupStack  = "stack"
	groupClient = "client"
	groupPart   = "part"
)
