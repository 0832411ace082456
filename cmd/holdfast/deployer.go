package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/deployer/bosh"
	"github.com/holdfast-osb/holdfast/deployer/template"
	"github.com/holdfast-osb/holdfast/internal/config"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/templates"
)

type deployerConfig struct {
	Listen       string        `yaml:"listen"`
	Token        secret.Secret `yaml:"token"`
	TemplatesDir string        `yaml:"templates_dir"` // the operator's, over the shipped ones; empty: none
	Director     bosh.Config   `yaml:"director"`
}

func defaultDeployerConfig() *deployerConfig {
	return &deployerConfig{Listen: "127.0.0.1:25580", Director: bosh.Defaults()}
}

func (c *deployerConfig) listenAddress() string { return c.Listen }

func (c *deployerConfig) Validate() error {
	faults := []error{checkListen("listen", c.Listen)}
	if c.Token.Empty() {
		faults = append(faults, errors.New("token: must be given"))
	}
	if info, err := os.Stat(c.TemplatesDir); c.TemplatesDir != "" && (err != nil || !info.IsDir()) {
		faults = append(faults, fmt.Errorf("templates_dir: must be a folder, got %q", c.TemplatesDir))
	}
	return errors.Join(append(faults, config.Under("director", c.Director.Validate()))...)
}

func newDeployerCommand() *cobra.Command {
	cmd := partCommand("deployer", "Turn templates into deployments on a BOSH director", "deployer", defaultDeployerConfig, buildDeployer)
	cmd.GroupID = groupPart
	return cmd
}

func buildDeployer(ctx context.Context, cfg *deployerConfig, log *slog.Logger) (*service, error) {
	sources := []fs.FS{templates.Shipped()}
	if cfg.TemplatesDir != "" {
		sources = append(sources, os.DirFS(cfg.TemplatesDir))
	}
	library, err := template.Open(log, sources...)
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	director, err := bosh.New(cfg.Director, library, log)
	if err != nil {
		return nil, err
	}
	if err := director.Check(ctx); err != nil {
		log.Warn("the director cannot be used yet", "error", err.Error())
	}
	return &service{
		handler:    deployer.NewHandler(director, cfg.Token, log),
		background: func(ctx context.Context) error { reloadOnHangup(ctx, library, log); return nil },
	}, nil
}

// reloadOnHangup reads the templates again at each SIGHUP; ones that are wrong
// leave the earlier in place.
func reloadOnHangup(ctx context.Context, library *template.Library, log *slog.Logger) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			if err := library.Reload(ctx); err != nil {
				log.Error("the changed templates are wrong; the earlier ones stay", "error", err.Error())
			}
		}
	}
}
