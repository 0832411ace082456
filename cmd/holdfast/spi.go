package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/internal/config"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
	"github.com/holdfast-osb/holdfast/spi/postgresql"
)

type postgresqlConfig struct {
	Listen     string            `yaml:"listen"`
	Token      secret.Secret     `yaml:"token"`
	PostgreSQL postgresql.Config `yaml:"postgresql"`
}

func defaultPostgreSQLConfig() *postgresqlConfig {
	return &postgresqlConfig{Listen: "127.0.0.1:25581", PostgreSQL: postgresql.Defaults()}
}

func (c *postgresqlConfig) listenAddress() string { return c.Listen }

func (c *postgresqlConfig) Validate() error {
	faults := []error{checkListen("listen", c.Listen)}
	if c.Token.Empty() {
		faults = append(faults, errors.New("token: must be given"))
	}
	return errors.Join(append(faults, config.Under("postgresql", c.PostgreSQL.Validate()))...)
}

func newSPICommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "spi", GroupID: groupPart, Short: "Serve a data service to the broker",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("no data service is called %q: `holdfast spi --help` lists them", args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(partCommand("postgresql", "Serve dedicated PostgreSQL", "spi", defaultPostgreSQLConfig, buildPostgreSQL))
	return cmd
}

func buildPostgreSQL(_ context.Context, cfg *postgresqlConfig, log *slog.Logger) (*service, error) {
	provider, err := postgresql.New(cfg.PostgreSQL, log)
	if err != nil {
		return nil, err
	}
	return &service{handler: spi.NewHandler(provider, cfg.Token, log), closers: []io.Closer{closer(provider.Close)}}, nil
}
