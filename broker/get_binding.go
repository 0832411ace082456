package broker

import (
	"context"

	"github.com/pivotal-cf/brokerapi/v10/domain"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

// GetBinding answers GET /v2/service_instances/{id}/service_bindings/{binding}.
// Credentials are not stored: the SPI derives them again.
func (b *Broker) GetBinding(ctx context.Context, instanceID, bindingID string, _ domain.FetchBindingDetails) (domain.GetBindingSpec, error) {
	spec, err := b.getBinding(ctx, instanceID, bindingID)
	return spec, b.failure(ctx, "get-binding", err)
}

func (b *Broker) getBinding(ctx context.Context, instanceID, bindingID string) (domain.GetBindingSpec, error) {
	none := domain.GetBindingSpec{}
	in, err := b.living(ctx, instanceID)
	if fault.Is(err, fault.NotFound) {
		return none, notFound("service instance")
	}
	if err != nil {
		return none, err
	}
	row, err := b.store.Binding(ctx, instanceID, bindingID)
	if fault.Is(err, fault.NotFound) || (err == nil && row.State != store.BindingReady) {
		return none, notFound("service binding")
	}
	if err != nil {
		return none, err
	}
	service, err := b.serviceOf(in)
	if err != nil {
		return none, err
	}
	work, cancel := context.WithTimeout(ctx, b.cfg.BindTimeout)
	defer cancel()
	credentials, err := service.Credentials(work, bindRequest(in, row))
	if fault.Is(err, fault.NotFound) {
		return none, notFound("service binding")
	}
	if err != nil {
		return none, err
	}
	spec := domain.GetBindingSpec{Credentials: map[string]any(credentials)}
	if row.Private.Parameters != nil {
		spec.Parameters = row.Private.Parameters
	}
	return spec, nil
}
