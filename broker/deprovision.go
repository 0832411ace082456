package broker

import (
	"context"
	"errors"

	"github.com/pivotal-cf/brokerapi/v10/domain"

	"github.com/holdfast-osb/holdfast/broker/operation"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

// Deprovision answers DELETE /v2/service_instances/{id}. It may come at any
// time: a create or update that runs is cancelled.
func (b *Broker) Deprovision(ctx context.Context, id string, details domain.DeprovisionDetails, async bool) (domain.DeprovisionServiceSpec, error) {
	spec, err := b.deprovision(ctx, id, details, async)
	return spec, b.failure(ctx, "deprovision", err)
}

func (b *Broker) deprovision(ctx context.Context, id string, details domain.DeprovisionDetails, async bool) (domain.DeprovisionServiceSpec, error) {
	none := domain.DeprovisionServiceSpec{}
	// Two rounds: the second sees the deletion that won a race.
	for range 2 {
		in, err := b.living(ctx, id)
		if fault.Is(err, fault.NotFound) {
			return none, gone()
		}
		if err != nil {
			return none, err
		}
		if in.ServiceID != details.ServiceID {
			return none, badRequest("service_id", "is not this service instance's")
		}
		if !async {
			return none, asyncRequired()
		}
		running, err := b.unfinished(ctx, id)
		if err != nil {
			return none, err
		}
		if running != nil && running.Kind == store.Delete {
			return domain.DeprovisionServiceSpec{IsAsync: true, OperationData: running.ID}, nil
		}
		op := store.Operation{ID: newOperationID(store.Delete), InstanceID: id, Kind: store.Delete, State: store.Queued, PlanID: in.PlanID, Message: operation.QueuedMessage()}
		superseded, err := b.store.StartOperation(ctx, op, in)
		if err == nil {
			if superseded != "" {
				b.log.InfoContext(ctx, "deletion takes the place of a running operation", "superseded", superseded)
				b.worker.Interrupt(superseded)
			}
			b.worker.Wake()
			return domain.DeprovisionServiceSpec{IsAsync: true, OperationData: op.ID}, nil
		}
		if !errors.Is(err, store.ErrBusy) && !fault.Is(err, fault.NotFound) {
			return none, err
		}
	}
	return none, concurrency()
}
