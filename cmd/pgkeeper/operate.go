package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/status"
)

// open loads the configuration and makes a client of the keepers.
func (a *app) open() (*settings.Settings, *status.Client, error) {
	s, err := settings.Load(a.file)
	if err != nil {
		return nil, nil, err
	}
	client, err := status.NewClient(s)
	return s, client, err
}

// ask posts a request to this node's keeper and fails when it is refused.
func (a *app) ask(ctx context.Context, within time.Duration, r decide.Request) error {
	s, client, err := a.open()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return grant(client.Ask(ctx, s.Address, 0, r))
}

func grant(answer status.Answer, err error) error {
	if err == nil && !answer.Granted {
		err = errors.New("refused: " + answer.Why)
	}
	return err
}

// operatorCommands are for people.
func (a *app) operatorCommands() []*cobra.Command {
	var force bool
	failover := &cobra.Command{
		Use: "failover", Short: "Have this node take over, when the lease is free", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ask(cmd.Context(), time.Minute, decide.Request{Ask: decide.AskFailover, Force: force})
		},
	}
	failover.Flags().BoolVar(&force, "force", false, "without comparing with nodes that cannot be reached: acknowledged writes may be lost")
	return []*cobra.Command{
		failover,
		{
			Use: "status", Short: "Show what this node's keeper knows, as JSON", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				s, client, err := a.open()
				if err != nil {
					return err
				}
				ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
				defer cancel()
				report, err := client.Status(ctx, s.Address, 0)
				if err != nil {
					return err
				}
				out := json.NewEncoder(cmd.OutOrStdout())
				out.SetIndent("", "  ")
				return out.Encode(report)
			},
		},
		{
			Use: "switchover [NODE]", Short: "Hand the primary's role over, from any node", Args: cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				request := decide.Request{Ask: decide.AskSwitchover}
				if len(args) == 1 {
					request.Target = decide.Node(args[0])
				}
				return a.askPrimary(cmd.Context(), request)
			},
		},
		{
			Use: "leave NODE", Short: "Remove a node from the cluster for good", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.askPrimary(cmd.Context(), decide.Request{Ask: decide.AskLeave, Target: decide.Node(args[0])})
			},
		},
		{
			Use: "alone", Short: "Remove all other nodes from the cluster", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.askPrimary(cmd.Context(), decide.Request{Ask: decide.AskAlone})
			},
		},
	}
}

// askPrimary posts a request to the keeper of the node that holds the lease.
func (a *app) askPrimary(ctx context.Context, r decide.Request) error {
	s, client, err := a.open()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	report, err := client.Status(ctx, s.Address, 0)
	if err != nil {
		return err
	}
	if report.Primary == "" {
		return fmt.Errorf("no node holds the lease: %s", report.Lease)
	}
	return grant(client.Ask(ctx, report.PrimaryAddress, report.PrimaryPort, r))
}
