package broker

import (
	"context"

	"github.com/pivotal-cf/brokerapi/v10/domain"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

// Unbind answers DELETE /v2/service_instances/{id}/service_bindings/{binding}.
// The row says "deleting" before the SPI is asked and goes afterwards, so that
// a repetition after a crash asks again.
func (b *Broker) Unbind(ctx context.Context, instanceID, bindingID string, details domain.UnbindDetails, _ bool) (domain.UnbindSpec, error) {
	return domain.UnbindSpec{}, b.failure(ctx, "unbind", b.unbind(ctx, instanceID, bindingID, details))
}

func (b *Broker) unbind(ctx context.Context, instanceID, bindingID string, details domain.UnbindDetails) error {
	in, err := b.living(ctx, instanceID)
	if fault.Is(err, fault.NotFound) {
		return gone()
	}
	if err != nil {
		return err
	}
	if in.ServiceID != details.ServiceID {
		return badRequest("service_id", "is not this service instance's")
	}
	row, err := b.store.Binding(ctx, instanceID, bindingID)
	if fault.Is(err, fault.NotFound) {
		return gone()
	}
	if err != nil {
		return err
	}
	running, err := b.unfinished(ctx, instanceID)
	if err != nil {
		return err
	}
	if running != nil {
		return concurrency()
	}
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.cfg.BindTimeout)
	defer cancel()
	if row.State != store.BindingDeleting {
		row.State = store.BindingDeleting
		if err := b.store.SaveBinding(work, &row); err != nil {
			return b.bindingChanged(err)
		}
	}
	service, err := b.serviceOf(in)
	if err != nil {
		return err
	}
	if err := service.Unbind(work, bindRequest(in, row)); err != nil {
		return err
	}
	return b.store.DeleteBinding(work, instanceID, bindingID)
}
