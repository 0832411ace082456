package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/holdfast-osb/holdfast/broker"
	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/config"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
	"github.com/holdfast-osb/holdfast/store"
	"github.com/holdfast-osb/holdfast/store/sqlite"
)

// endpoint is an internal API of another part.
type endpoint struct {
	URL   string        `yaml:"url"`
	Token secret.Secret `yaml:"token"`
}

func (e endpoint) faults(key string) []error {
	var faults []error
	if e.URL == "" {
		faults = append(faults, fmt.Errorf("%s.url: must be given", key))
	}
	if e.Token.Empty() {
		faults = append(faults, fmt.Errorf("%s.token: must be given", key))
	}
	return faults
}

type brokerConfig struct {
	Listen string `yaml:"listen"`
	// OperationsListen serves /metrics and /healthz, for operators; empty:
	// nowhere.
	OperationsListen string `yaml:"operations_listen"`
	Store            struct {
		Path string      `yaml:"path"` // of the embedded store's file
		Keys []store.Key `yaml:"keys"` // the first one seals, all open
	} `yaml:"store"`
	Broker   broker.Config       `yaml:"broker"`
	SPIs     map[string]endpoint `yaml:"spis"` // a name must never be given to another service
	Deployer endpoint            `yaml:"deployer"`
}

func defaultBrokerConfig() *brokerConfig {
	return &brokerConfig{Listen: "127.0.0.1:25500", Broker: broker.DefaultConfig()}
}

func (c *brokerConfig) listenAddress() string { return c.Listen }

func (c *brokerConfig) Validate() error {
	faults := []error{checkListen("listen", c.Listen)}
	if c.OperationsListen != "" {
		faults = append(faults, checkListen("operations_listen", c.OperationsListen))
	}
	if c.Store.Path == "" {
		faults = append(faults, errors.New("store.path: must be given"))
	}
	if _, err := store.NewKeyring(c.Store.Keys); err != nil {
		faults = append(faults, config.Under("store", err))
	}
	if len(c.SPIs) == 0 {
		faults = append(faults, errors.New("spis: at least one must be given"))
	}
	for name, e := range c.SPIs {
		faults = append(faults, e.faults("spis."+name)...)
	}
	faults = append(faults, c.Deployer.faults("deployer")...)
	return errors.Join(append(faults, config.Under("broker", c.Broker.Validate()))...)
}

func newBrokerCommand() *cobra.Command {
	cmd := partCommand("broker", "Serve the Open Service Broker API", "broker", defaultBrokerConfig, buildBroker)
	cmd.GroupID = groupPart
	return cmd
}

func buildBroker(ctx context.Context, cfg *brokerConfig, log *slog.Logger) (*service, error) {
	keys, err := store.NewKeyring(cfg.Store.Keys)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	deployments, err := deployer.NewClient(cfg.Deployer.URL, cfg.Deployer.Token)
	if err != nil {
		return nil, fmt.Errorf("deployer: %w", err)
	}
	services := map[string]spi.Service{}
	for name, e := range cfg.SPIs {
		if services[name], err = spi.NewClient(e.URL, e.Token); err != nil {
			return nil, fmt.Errorf("spis.%s: %w", name, err)
		}
	}
	rows, err := sqlite.Open(ctx, cfg.Store.Path, keys, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	b, err := broker.New(cfg.Broker, rows, services, deployments, log)
	if err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	s := &service{handler: b.Handler(), background: b.Run, closers: []io.Closer{rows}}
	if cfg.OperationsListen != "" {
		s.more = map[string]http.Handler{cfg.OperationsListen: b.Operations()}
	}
	return s, nil
}
