package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/internal/demo"
	"github.com/holdfast-osb/holdfast/internal/logging"
	"github.com/holdfast-osb/holdfast/internal/stack"
)

func newDemoCommand() *cobra.Command {
	var flags stackFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "demo", GroupID: groupStack, Args: cobra.NoArgs,
		Short: "Show the whole life of a service instance on a stack of its own, and leave nothing",
	}
	flags.addArtifacts(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "end with the timings as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		// A folder of its own: a stack that runs beside the demo is not touched.
		base, err := os.MkdirTemp("", "holdfast-demo-")
		if err != nil {
			return fmt.Errorf("make the demo's folder: %w", err)
		}
		folder, kept := stack.Folder(filepath.Join(base, "stack")), filepath.Join(base, "log")
		defer func() { removeUnlessWanted(base, string(folder), kept) }()
		log, err := os.Create(filepath.Join(base, "supervisor.log"))
		if err != nil {
			return fmt.Errorf("make the demo's log: %w", err)
		}
		defer log.Close()
		config := flags.config(folder)
		begin := time.Now()
		timings, err := demo.Run(cmd.Context(), demo.Config{Stack: config, KeptLogs: kept, Out: cmd.OutOrStdout(), Log: logging.New(log, "demo", 0)})
		if err != nil && cmd.Context().Err() == nil {
			err = fmt.Errorf("the demo failed: %w", err)
		}
		if _, missing := os.Stat(string(folder)); missing == nil {
			err = errors.Join(err, fmt.Errorf("not all of the demo could be removed: `holdfast down --state %s` goes on", folder))
		}
		if err != nil {
			return err
		}
		if asJSON {
			return newPrinter(cmd.OutOrStdout(), true).object(map[string]any{"steps": timings, "seconds": time.Since(begin).Seconds()})
		}
		fmt.Fprintln(cmd.OutOrStdout(), "\nWhat took how long:")
		for _, t := range timings {
			fmt.Fprintf(cmd.OutOrStdout(), "  %6.2f s  %s\n", t.Seconds, t.Step)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "  %6.2f s  in all\n", time.Since(begin).Seconds())
		return nil
	}
	return cmd
}

// removeUnlessWanted removes the demo's folder, unless something in it is
// still of use: a stack that could not be removed, or logs of a failure.
func removeUnlessWanted(base string, wanted ...string) {
	for _, path := range wanted {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	os.RemoveAll(base)
}
