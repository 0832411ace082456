package postgresql

import (
	"log/slog"
	"sync"

	"github.com/holdfast-osb/holdfast/spi"
)

// Service is the provider. It is safe for concurrent use; Close ends its
// connections.
type Service struct {
	config      Config
	plans       []PlanConfig
	log         *slog.Logger
	connections *connections
	consul      *consul
	// primaries are the addresses of the primaries last seen, by instance: a
	// hint where to look first.
	primaries sync.Map
}

var _ spi.Service = (*Service)(nil)

// New makes a provider of a valid configuration.
func New(config Config, log *slog.Logger) (*Service, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	consul, err := newConsul(config.Consul)
	if err != nil {
		return nil, err
	}
	s := &Service{config: config, log: log, connections: newConnections(), consul: consul}
	for _, plan := range config.Plans {
		s.plans = append(s.plans, plan.complete())
	}
	return s, nil
}

// Close ends idle connections.
func (s *Service) Close() { s.connections.close() }
