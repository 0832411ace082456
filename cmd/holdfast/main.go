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
	if err := root.ExecuteContext(ctx); err != nil {
		var status exitStatus
		if errors.As(err, &status) {
			return int(status)
		}
		fmt.Fprintln(stderr, "holdfast:", err)
		return 1
	}
	return 0
}

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
	root.AddCommand(newUpCommand(), newStatusCommand(), newDownCommand(), newDemoCommand())
	addClientCommands(root)
	root.AddCommand(newBrokerCommand(), newSPICommand(), newDeployerCommand(), newDirectorCommand())
	return root
}

const (
	groupStack  = "stack"
	groupClient = "client"
	groupPart   = "part"
)
