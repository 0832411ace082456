package postgresql

import (
	"log/slog"

	"github.com/holdfast-osb/holdfast/spi"
)

// Service is the provider. It is safe for concurrent use; Close ends its
// connections.
type Service struct {
	config      Config
	log         *slog.Logger
	connections *connections
}

var _ spi.Service = (*Service)(nil)

// New makes a provider of a valid configuration.
func New(config Config, log *slog.Logger) (*Service, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Service{config: config, log: log, connections: newConnections()}, nil
}

// Close ends idle connections.
func (s *Service) Close() { s.connections.close() }
