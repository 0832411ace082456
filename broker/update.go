package broker

import (
	"context"
	"errors"

	"github.com/pivotal-cf/brokerapi/v10/domain"

	"github.com/holdfast-osb/holdfast/broker/operation"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

// Update answers PATCH /v2/service_instances/{id}: another plan, other
// parameters, or the catalog's newer maintenance_info.
func (b *Broker) Update(ctx context.Context, id string, details domain.UpdateDetails, async bool) (domain.UpdateServiceSpec, error) {
	spec, err := b.update(ctx, id, details, async)
	return spec, b.failure(ctx, "update", err)
}

func (b *Broker) update(ctx context.Context, id string, details domain.UpdateDetails, async bool) (domain.UpdateServiceSpec, error) {
	none := domain.UpdateServiceSpec{}
	// A few rounds: the instance may change between reading and writing.
	for range 3 {
		in, err := b.living(ctx, id)
		if fault.Is(err, fault.NotFound) {
			return none, notFound("service instance")
		}
		if err != nil {
			return none, err
		}
		op, err := b.newUpdate(in, details)
		if err != nil {
			return none, err
		}
		running, err := b.unfinished(ctx, id)
		if err != nil {
			return none, err
		}
		if running != nil {
			return updateAgain(*running, op)
		}
		if in.State != store.Ready {
			return none, unprocessable("", "the service instance's creation or deletion failed: it can only be deleted")
		}
		if op.PlanID == in.PlanID && sameParameters(op.Private.Parameters, in.Private.Parameters) && !b.wantsMaintenance(in, details) {
			return none, nil // nothing to do: 200
		}
		if !async {
			return none, asyncRequired()
		}
		_, err = b.store.StartOperation(ctx, op, in)
		if err == nil {
			b.worker.Wake()
			return domain.UpdateServiceSpec{IsAsync: true, OperationData: op.ID}, nil
		}
		if !errors.Is(err, store.ErrBusy) && !errors.Is(err, store.ErrStale) && !fault.Is(err, fault.NotFound) {
			return none, err
		}
	}
	return none, concurrency()
}

// newUpdate checks a request and makes the operation it would become.
func (b *Broker) newUpdate(in store.Instance, details domain.UpdateDetails) (store.Operation, error) {
	var op store.Operation
	if details.ServiceID != in.ServiceID {
		return op, badRequest("service_id", "is not this service instance's")
	}
	planID := details.PlanID
	if planID == "" {
		planID = in.PlanID
	}
	offering := b.offered.Load().byID[in.ServiceID]
	if offering == nil || offering.plans[planID] == nil {
		return op, unprocessable("", "plan_id: the plan is not offered any more, the service instance cannot be updated within it")
	}
	target := offering.plans[planID]
	if planID != in.PlanID {
		if current := offering.plans[in.PlanID]; current == nil || !current.migratesTo(planID) {
			return op, unprocessable("PlanChangeNotSupported", "plan_id: the service instance cannot move from its plan to this one")
		}
	}
	if err := target.update.check(details.RawParameters); err != nil {
		return op, err
	}
	if err := checkMaintenance(target, details.MaintenanceInfo); err != nil {
		return op, err
	}
	parameters, err := overlay(in.Private.Parameters, details.RawParameters)
	if err != nil {
		return op, err
	}
	return store.Operation{
		ID: newOperationID(store.Update), InstanceID: in.ID, Kind: store.Update, State: store.Queued, PlanID: planID, Maintenance: target.MaintenanceInfo.Version,
		Message: operation.QueuedMessage(), Private: store.OperationPrivate{Given: object(details.RawParameters), Parameters: parameters, Context: object(details.RawContext)},
	}, nil
}

// wantsMaintenance tells whether the request asks for a newer maintenance
// version than the instance was deployed with.
func (b *Broker) wantsMaintenance(in store.Instance, details domain.UpdateDetails) bool {
	return details.MaintenanceInfo != nil && details.MaintenanceInfo.Version != "" && details.MaintenanceInfo.Version != in.Maintenance
}

// updateAgain answers a request while another operation runs.
func updateAgain(running, wanted store.Operation) (domain.UpdateServiceSpec, error) {
	identical := running.Kind == store.Update && running.PlanID == wanted.PlanID && running.Maintenance == wanted.Maintenance &&
		sameParameters(running.Private.Parameters, wanted.Private.Parameters)
	if !identical {
		return domain.UpdateServiceSpec{}, concurrency()
	}
	return domain.UpdateServiceSpec{IsAsync: true, OperationData: running.ID}, nil
}
