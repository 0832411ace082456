package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/deployer/localdirector"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
	"github.com/holdfast-osb/holdfast/internal/config"
	"github.com/holdfast-osb/holdfast/internal/logging"
)

// newDirectorCommand runs the local director. Unlike the other parts it
// serves by itself: TLS, a CA of its own, VMs that outlive it.
func newDirectorCommand() *cobra.Command {
	var file string
	var check, debug bool
	cmd := &cobra.Command{
		Use: "director", Short: "Run the local director: the BOSH director's API, on this machine's own VMs",
		Args: cobra.NoArgs, GroupID: groupPart,
	}
	cmd.Flags().StringVar(&file, "config", "", "the director's configuration, YAML (required)")
	cmd.Flags().BoolVar(&check, "check-config", false, "say whether the configuration is right, and end")
	cmd.Flags().BoolVar(&debug, "debug", false, "log every request")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := directorConfig(file)
		if err != nil {
			return err
		}
		if check {
			fmt.Fprintf(cmd.OutOrStdout(), "%s is right\n", file)
			return nil
		}
		level := slog.LevelInfo
		if debug {
			level = slog.LevelDebug
		}
		return localdirector.Run(cmd.Context(), cfg, logging.New(cmd.ErrOrStderr(), "director", level))
	}
	cmd.AddCommand(newDirectorStackCommand(), newDirectorDestroyCommand(), newVMInitCommand())
	return cmd
}

func directorConfig(file string) (localdirector.Config, error) {
	cfg := localdirector.DefaultConfig()
	if file == "" {
		return cfg, errors.New("--config FILE is required")
	}
	return cfg, config.Load(file, &cfg)
}

// newDirectorStackCommand tells what the director has of this machine, also
// while it runs.
func newDirectorStackCommand() *cobra.Command {
	var file, dir string
	cmd := &cobra.Command{Use: "stack", Short: "Print the director's name on this machine, its subnet and its bridge, as JSON", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&file, "config", "", "the director's configuration, YAML")
	cmd.Flags().StringVar(&dir, "dir", "", "the director's folder, instead of its configuration")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if dir == "" {
			cfg, err := directorConfig(file)
			if err != nil {
				return err
			}
			dir = cfg.Dir
		}
		stack, err := localdirector.ReadStack(dir)
		if err != nil {
			return err
		}
		return json.NewEncoder(cmd.OutOrStdout()).Encode(stack)
	}
	return cmd
}

// newDirectorDestroyCommand removes a director with all its VMs and data.
func newDirectorDestroyCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{Use: "destroy", Short: "Remove a director: its VMs, disks, links and files", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&dir, "dir", "", "the director's folder (required)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if dir == "" {
			return errors.New("--dir DIR is required")
		}
		dir, err := filepath.Abs(dir)
		if err != nil {
			return fmt.Errorf("find the director's folder: %w", err)
		}
		return localdirector.Destroy(cmd.Context(), dir, logging.New(cmd.ErrOrStderr(), "director", slog.LevelInfo))
	}
	return cmd
}

// newVMInitCommand is the first process of a VM; only the director starts it.
func newVMInitCommand() *cobra.Command {
	return &cobra.Command{
		Use: "vm-init", Hidden: true, DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error { return vm.InitMain(args) },
	}
}
