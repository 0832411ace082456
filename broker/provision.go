package broker

import (
	"context"
	"errors"

	"github.com/pivotal-cf/brokerapi/v10/domain"

	"github.com/holdfast-osb/holdfast/broker/operation"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

// Provision answers PUT /v2/service_instances/{id}: it writes the instance and
// its creation down, and the worker does the rest.
func (b *Broker) Provision(ctx context.Context, id string, details domain.ProvisionDetails, async bool) (domain.ProvisionedServiceSpec, error) {
	spec, err := b.provision(ctx, id, details, async)
	return spec, b.failure(ctx, "provision", err)
}

func (b *Broker) provision(ctx context.Context, id string, details domain.ProvisionDetails, async bool) (domain.ProvisionedServiceSpec, error) {
	none := domain.ProvisionedServiceSpec{}
	in, op, err := b.newInstance(id, details)
	if err != nil {
		return none, err
	}
	if !async {
		return none, asyncRequired()
	}
	// A tombstone makes room. Two rounds: the second sees what won a race.
	for range 2 {
		existing, err := b.living(ctx, id)
		if err == nil {
			return b.provisionAgain(ctx, existing, in)
		}
		if !fault.Is(err, fault.NotFound) {
			return none, err
		}
		err = b.store.CreateInstance(ctx, in, op)
		if err == nil {
			b.worker.Wake()
			return domain.ProvisionedServiceSpec{IsAsync: true, OperationData: op.ID}, nil
		}
		if !errors.Is(err, store.ErrExists) {
			return none, err
		}
	}
	return none, conflict("another service instance uses this one's deployment")
}

// newInstance checks a request and makes the rows it would become.
func (b *Broker) newInstance(id string, details domain.ProvisionDetails) (store.Instance, store.Operation, error) {
	var in store.Instance
	var op store.Operation
	for _, required := range []struct{ field, value string }{{"organization_guid", details.OrganizationGUID}, {"space_guid", details.SpaceGUID}} {
		if required.value == "" {
			return in, op, badRequest(required.field, "must be given")
		}
	}
	offering := b.offered.Load().byID[details.ServiceID]
	if offering == nil || offering.plans[details.PlanID] == nil {
		return in, op, badRequest("plan_id", "is not in the catalog") // it was a moment ago
	}
	plan := offering.plans[details.PlanID]
	if err := plan.create.check(details.RawParameters); err != nil {
		return in, op, err
	}
	if err := checkMaintenance(plan, details.MaintenanceInfo); err != nil {
		return in, op, err
	}
	parameters := object(details.RawParameters)
	in = store.Instance{
		ID: id, State: store.Creating, Provider: offering.provider, ServiceID: offering.ID, PlanID: plan.ID, Deployment: deploymentName(offering.prefix, id),
		OrgGUID: details.OrganizationGUID, SpaceGUID: details.SpaceGUID, Maintenance: plan.MaintenanceInfo.Version,
		Private: store.InstancePrivate{Parameters: parameters, Context: object(details.RawContext)},
	}
	op = store.Operation{
		ID: newOperationID(store.Create), InstanceID: id, Kind: store.Create, State: store.Queued, PlanID: plan.ID, Maintenance: plan.MaintenanceInfo.Version,
		Message: operation.QueuedMessage(), Private: store.OperationPrivate{Given: parameters, Parameters: parameters, Context: in.Private.Context},
	}
	return in, op, nil
}

// provisionAgain answers a request for an instance that exists.
func (b *Broker) provisionAgain(ctx context.Context, existing, wanted store.Instance) (domain.ProvisionedServiceSpec, error) {
	none := domain.ProvisionedServiceSpec{}
	running, err := b.unfinished(ctx, existing.ID)
	if err != nil {
		return none, err
	}
	if running != nil && running.Kind == store.Delete {
		return none, concurrency()
	}
	identical := existing.ServiceID == wanted.ServiceID && existing.PlanID == wanted.PlanID && existing.OrgGUID == wanted.OrgGUID &&
		existing.SpaceGUID == wanted.SpaceGUID && sameParameters(existing.Private.Parameters, wanted.Private.Parameters)
	switch {
	case !identical:
		return none, conflict("a service instance with this id exists already and differs in service, plan, organization, space or parameters")
	case running != nil && running.Kind == store.Create:
		// Not AlreadyExists: with that set brokerapi would answer 200.
		return domain.ProvisionedServiceSpec{IsAsync: true, OperationData: running.ID}, nil
	case existing.State != store.Ready:
		return none, conflict("a service instance with this id exists already and its creation or deletion failed: delete it first")
	}
	return domain.ProvisionedServiceSpec{AlreadyExists: true}, nil
}

// checkMaintenance refuses a maintenance_info that is not the catalog's. One
// without a version says nothing.
func checkMaintenance(p *plan, given *domain.MaintenanceInfo) error {
	if given == nil || given.Version == "" || given.Version == p.MaintenanceInfo.Version {
		return nil
	}
	if p.MaintenanceInfo.Version == "" {
		return maintenanceConflict("was given, but the plan has none: refresh the catalog")
	}
	return maintenanceConflict("is not the catalog's version: refresh the catalog")
}
