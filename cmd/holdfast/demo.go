package main

import (
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
		defer os.RemoveAll(base)
		log, err := os.Create(filepath.Join(base, "supervisor.log"))
		if err != nil {
			return fmt.Errorf("make the demo's log: %w", err)
		}
		defer log.Close()
		config := flags.config(stack.Folder(filepath.Join(base, "stack")))
		begin := time.Now()
		timings, err := demo.Run(cmd.Context(), demo.Config{Stack: config, Out: cmd.OutOrStdout(), Log: logging.New(log, "demo", 0)})
		if err != nil {
			return fmt.Errorf("the demo failed: %w", err)
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
