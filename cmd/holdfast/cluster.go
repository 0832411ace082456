package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/cmd/holdfast/operator"
	"github.com/holdfast-osb/holdfast/deployer/bosh"
	"github.com/holdfast-osb/holdfast/internal/config"
	"github.com/holdfast-osb/holdfast/internal/osbclient"
)

// clusterCommands are what operators do with an instance's nodes.
type clusterCommands struct {
	state, file string
	json        bool
	out         *printer
}

func newClusterCommand() *cobra.Command {
	c := &clusterCommands{}
	cmd := &cobra.Command{
		Use: "cluster", GroupID: groupStack, Short: "For operators: look at an instance's nodes, and move its primary",
		Long: "For operators: look at an instance's nodes, and move its primary. INSTANCE is a name given with `holdfast create`,\n" +
			"an instance's id or its deployment's name. Whoever may read manifests on the director may do this.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("there is no `holdfast cluster %s`: `holdfast cluster --help` lists what there is", args[0])
			}
			return cmd.Help()
		},
	}
	cmd.PersistentFlags().StringVar(&c.state, "state", defaultState(), "the local stack's folder")
	cmd.PersistentFlags().StringVar(&c.file, "deployer-config", "", "a deployer's configuration, which names the director (default: the local stack's)")
	cmd.PersistentFlags().BoolVar(&c.json, "json", false, "print JSON")
	cmd.AddCommand(c.statusCommand(), c.switchoverCommand(), c.failoverCommand())
	for _, sub := range cmd.Commands() {
		sub.Args = withUsage(sub.Args)
		sub.PreRun = func(cmd *cobra.Command, _ []string) { c.out = newPrinter(cmd.OutOrStdout(), c.json) }
	}
	return cmd
}

func (c *clusterCommands) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status INSTANCE", Short: "Show what each node's keeper says; exits 1 when not all is well", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster, err := c.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			nodes := cluster.Status(cmd.Context())
			problem := operator.Problem(nodes)
			if c.json {
				if err := c.out.object(map[string]any{"deployment": cluster.Deployment, "healthy": problem == "", "problem": problem, "nodes": nodes}); err != nil {
					return err
				}
				if problem != "" {
					return exitStatus(1)
				}
				return nil
			}
			if err := c.print(cluster, nodes); err != nil {
				return err
			}
			if problem != "" {
				return errors.New(problem)
			}
			return nil
		},
	}
}

// print shows the nodes for people.
func (c *clusterCommands) print(cluster *operator.Cluster, nodes []operator.Node) error {
	lease, consul := "unknown", "unknown"
	rows := [][]string{}
	for _, n := range nodes {
		r := n.Report
		if r == nil {
			rows = append(rows, []string{string(n.Node), n.Address, "unknown", "", "", "", "", n.Problem})
			continue
		}
		if lease == "unknown" || r.Writable { // who holds it knows best
			lease, consul = r.Lease, r.Consul
		}
		lag, member := "", "no"
		if r.Streaming {
			lag = fmt.Sprintf("%d B", r.Lag)
		}
		if r.Member() {
			member = "yes"
		}
		since := ""
		if !r.Last.At.IsZero() {
			since = time.Since(r.Last.At).Round(time.Second).String()
		}
		rows = append(rows, []string{string(n.Node), n.Address, string(r.Role), member, fmt.Sprintf("%d/%s", r.Position.Timeline, r.Position.LSN), lag, since, r.Why})
	}
	c.out.line("deployment  %s\nlease       %s\nconsul      %s\n", cluster.Deployment, lease, consul)
	return c.out.table([]string{"NODE", "ADDRESS", "ROLE", "MEMBER", "POSITION", "LAG", "FOR", "MESSAGE"}, rows)
}

func (c *clusterCommands) switchoverCommand() *cobra.Command {
	return &cobra.Command{
		Use: "switchover INSTANCE [NODE]", Short: "Hand the primary's part over to a standby, without loss", Args: cobra.RangeArgs(1, 2),
		Example: "  holdfast cluster switchover mydb node-1",
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.move(cmd.Context(), args, (*operator.Cluster).Switchover)
		},
	}
}

func (c *clusterCommands) failoverCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "failover INSTANCE [NODE]", Short: "Have a standby take over when no node leads", Args: cobra.RangeArgs(1, 2),
		Long: "Have a standby take over when no node leads. Keepers do that by themselves; this is for what they must not decide:\n" +
			"with --force the standby does not wait for nodes that cannot be reached, and what only those have is lost.",
	}
	cmd.Flags().BoolVar(&force, "force", false, "without comparing with nodes that cannot be reached: acknowledged writes may be lost")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.move(cmd.Context(), args, func(cluster *operator.Cluster, ctx context.Context, node string) (operator.Node, error) {
			return cluster.Failover(ctx, node, force)
		})
	}
	return cmd
}

// move changes the primary and tells who it is then.
func (c *clusterCommands) move(ctx context.Context, args []string, how func(*operator.Cluster, context.Context, string) (operator.Node, error)) error {
	cluster, err := c.find(ctx, args[0])
	if err != nil {
		return err
	}
	target := ""
	if len(args) > 1 {
		target = args[1]
	}
	begin := time.Now()
	primary, err := how(cluster, ctx, target)
	if err != nil {
		return err
	}
	took := time.Since(begin)
	if c.json {
		return c.out.object(map[string]any{"deployment": cluster.Deployment, "primary": primary.Node, "address": primary.Address, "seconds": took.Seconds()})
	}
	c.out.line("OK  %s is the primary of %s after %s", primary.Node, cluster.Deployment, seconds(took))
	return nil
}

// find reaches an instance's keepers through the director.
func (c *clusterCommands) find(ctx context.Context, instance string) (*operator.Cluster, error) {
	file := c.file
	if file == "" {
		file = filepath.Join(c.state, "config", "deployer.yml")
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("no stack runs here (nothing in %s): start one with `holdfast up`, or name a director with --deployer-config", c.state)
		}
	}
	cfg := defaultDeployerConfig()
	if err := config.Load(file, cfg); err != nil {
		return nil, err
	}
	director, err := bosh.New(cfg.Director, nil, slog.New(slog.DiscardHandler)) // it deploys nothing
	if err != nil {
		return nil, err
	}
	defer director.Close()
	names, err := osbclient.Book{Path: filepath.Join(c.state, "client-names.json")}.Read()
	if err != nil {
		return nil, err
	}
	for _, broker := range names {
		if entry, ok := broker[instance]; ok {
			instance = entry.ID
		}
	}
	return operator.Find(ctx, director, instance)
}
