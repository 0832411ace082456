package broker

import (
	"context"

	"github.com/pivotal-cf/brokerapi/v10/domain"
)

// Services answers GET /v2/catalog from memory.
func (b *Broker) Services(context.Context) ([]domain.Service, error) {
	return b.offered.Load().services, nil
}
