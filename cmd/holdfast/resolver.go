package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/internal/config"
	"github.com/holdfast-osb/holdfast/internal/logging"
	"github.com/holdfast-osb/holdfast/internal/resolver"
)

type resolverConfig struct {
	Listen  string   `yaml:"listen"`
	Domain  string   `yaml:"domain"`
	Servers []string `yaml:"servers"` // IP:port
}

func (c *resolverConfig) Validate() error {
	faults := []error{checkListen("listen", c.Listen)}
	if c.Domain == "" {
		faults = append(faults, errors.New("domain: must be given"))
	}
	if len(c.Servers) == 0 {
		faults = append(faults, errors.New("servers: at least one is needed"))
	}
	for i, server := range c.Servers {
		if _, err := netip.ParseAddrPort(server); err != nil {
			faults = append(faults, fmt.Errorf("servers[%d]: must be an IP address and a port, got %q", i, server))
		}
	}
	return errors.Join(faults...)
}

// newResolverCommand answers DNS for the instances' names. Unlike the other
// parts it serves no HTTP.
func newResolverCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "resolver", Short: "Answer DNS for the instances' names, by asking Consul's servers",
		Args: cobra.NoArgs, GroupID: groupPart,
	}
	cmd.Flags().StringVar(&file, "config", "", "the part's configuration, YAML (required)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if file == "" {
			return errors.New("--config FILE is required")
		}
		cfg := &resolverConfig{Listen: "127.0.0.1:25553", Domain: "holdfast.internal"}
		if err := config.Load(file, cfg); err != nil {
			return err
		}
		log := logging.New(cmd.ErrOrStderr(), "resolver", slog.LevelInfo)
		r, err := resolver.Start(resolver.Config{Address: cfg.Listen, Domain: cfg.Domain, Servers: cfg.Servers, Log: log})
		if err != nil {
			return err
		}
		defer r.Close()
		log.Info("serving", "address", r.Address())
		<-cmd.Context().Done()
		log.Info("stopping")
		return nil
	}
	return cmd
}
