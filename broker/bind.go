package broker

import (
	"context"
	"errors"
	"reflect"

	"github.com/pivotal-cf/brokerapi/v10/domain"

	"github.com/holdfast-osb/holdfast/broker/operation"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/spi"
	"github.com/holdfast-osb/holdfast/store"
)

// Bind answers PUT /v2/service_instances/{id}/service_bindings/{binding},
// while the platform waits. First the row, then the SPI, then the row again:
// whatever a crash leaves, a repetition or an unbind finds.
func (b *Broker) Bind(ctx context.Context, instanceID, bindingID string, details domain.BindDetails, _ bool) (domain.Binding, error) {
	binding, err := b.bind(ctx, instanceID, bindingID, details)
	return binding, b.failure(ctx, "bind", err)
}

func (b *Broker) bind(ctx context.Context, instanceID, bindingID string, details domain.BindDetails) (domain.Binding, error) {
	none := domain.Binding{}
	in, err := b.bindable(ctx, instanceID, details.ServiceID, details.PlanID)
	if err != nil {
		return none, err
	}
	wanted := store.Binding{
		ID: bindingID, InstanceID: instanceID, Version: 1, State: store.BindingCreating, ServiceID: in.ServiceID, PlanID: in.PlanID, AppGUID: appGUID(details),
		Private: store.BindingPrivate{Parameters: object(details.RawParameters), Context: object(details.RawContext)},
	}
	if plan := b.planOf(in); plan != nil {
		if err := plan.bind.check(details.RawParameters); err != nil {
			return none, err
		}
	}
	row, existed, err := b.bindingRow(ctx, wanted)
	if err != nil {
		return none, err
	}
	// The platform may hang up: the login is made all the same, and a repeated
	// request finds it.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.cfg.BindTimeout)
	defer cancel()
	credentials, err := b.callBind(work, in, row)
	if err != nil {
		return none, b.bindFailed(work, row, existed, err)
	}
	if row.State == store.BindingCreating {
		row.State = store.BindingReady
		if err := b.store.SaveBinding(work, &row); err != nil {
			return none, b.bindingChanged(err)
		}
		existed = false // 201: this request completed it
	}
	return domain.Binding{AlreadyExists: existed, Credentials: map[string]any(credentials)}, nil
}

// bindable reads an instance and checks that it can be bound now.
func (b *Broker) bindable(ctx context.Context, id, serviceID, planID string) (store.Instance, error) {
	in, err := b.living(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return in, notFound("service instance")
	}
	if err != nil {
		return in, err
	}
	if in.ServiceID != serviceID {
		return in, badRequest("service_id", "is not this service instance's")
	}
	if in.PlanID != planID {
		return in, badRequest("plan_id", "is not this service instance's")
	}
	if offering := b.offered.Load().byID[serviceID]; offering != nil && !offering.Bindable {
		return in, badRequest("service_id", "this service takes no bindings")
	}
	running, err := b.unfinished(ctx, id)
	switch {
	case err != nil:
		return in, err
	case running != nil:
		return in, concurrency()
	case in.State != store.Ready:
		// No 422: Cloud Foundry would begin orphan mitigation.
		return in, badRequest("instance_id", "the creation or deletion of this service instance failed: it can only be deleted")
	}
	return in, nil
}

func (b *Broker) planOf(in store.Instance) *plan {
	if offering := b.offered.Load().byID[in.ServiceID]; offering != nil {
		return offering.plans[in.PlanID]
	}
	return nil
}

// bindingRow writes the row of a new binding, or finds that of an earlier
// request, which must be the same.
func (b *Broker) bindingRow(ctx context.Context, wanted store.Binding) (row store.Binding, existed bool, err error) {
	row, err = b.store.Binding(ctx, wanted.InstanceID, wanted.ID)
	if fault.Is(err, fault.NotFound) {
		err = b.store.CreateBinding(ctx, wanted)
		if err == nil {
			return wanted, false, nil
		}
		if errors.Is(err, store.ErrExists) { // another request was faster
			row, err = b.store.Binding(ctx, wanted.InstanceID, wanted.ID)
		}
	}
	switch {
	case errors.Is(err, store.ErrBusy):
		return row, false, concurrency()
	case fault.Is(err, fault.NotFound):
		return row, false, notFound("service instance")
	case err != nil:
		return row, false, err
	case row.State == store.BindingDeleting:
		return row, false, concurrency()
	}
	identical := row.AppGUID == wanted.AppGUID && row.ServiceID == wanted.ServiceID && sameParameters(row.Private.Parameters, wanted.Private.Parameters)
	if !identical {
		return row, false, conflict("a binding with this id exists already and differs in app_guid or parameters")
	}
	return row, true, nil
}

// callBind asks the SPI. When the service does not answer where it was, its
// nodes may have moved: the deployer knows.
func (b *Broker) callBind(ctx context.Context, in store.Instance, row store.Binding) (spi.Credentials, error) {
	service, err := b.serviceOf(in)
	if err != nil {
		return nil, err
	}
	credentials, err := service.Bind(ctx, bindRequest(in, row))
	if !fault.Is(err, fault.Unavailable) {
		return credentials, err
	}
	nodes, nodesErr := operation.Nodes(ctx, b.deployer, in.Deployment)
	if nodesErr != nil || reflect.DeepEqual(nodes, in.Nodes) {
		return nil, err
	}
	in.Nodes = nodes
	if err := b.store.SaveNodes(ctx, in); err != nil && !errors.Is(err, store.ErrStale) {
		return nil, err
	}
	return service.Bind(ctx, bindRequest(in, row))
}

// bindFailed decides what remains of a binding that the SPI did not make.
func (b *Broker) bindFailed(ctx context.Context, row store.Binding, existed bool, err error) error {
	f := fault.From(err)
	refused := f.Kind == fault.Invalid || f.Kind == fault.Conflict || f.Kind == fault.Forbidden
	if refused && !existed {
		// Nothing was made: nothing need be unbound.
		if deleteErr := b.store.DeleteBinding(ctx, row.InstanceID, row.ID); deleteErr != nil {
			return errors.Join(err, deleteErr)
		}
	}
	if f.Kind == fault.Invalid && f.Field == "app_guid" {
		return requiresApp(f.User)
	}
	return err
}

// bindingChanged explains a row that changed while the SPI worked.
func (b *Broker) bindingChanged(err error) error {
	if errors.Is(err, store.ErrStale) {
		return concurrency()
	}
	return err
}

func (b *Broker) serviceOf(in store.Instance) (spi.Service, error) {
	service, ok := b.services[in.Provider]
	if !ok {
		return nil, fault.Wrap(fault.Unavailable, errors.New("no SPI named "+in.Provider+" is configured"), "the data service is not available")
	}
	return service, nil
}

func bindRequest(in store.Instance, row store.Binding) spi.BindRequest {
	return spi.BindRequest{Instance: operation.Instance(in), BindingID: row.ID, Parameters: row.Private.Parameters, AppGUID: row.AppGUID}
}

// appGUID prefers the place that the API has now over the one it had.
func appGUID(details domain.BindDetails) string {
	if details.BindResource != nil && details.BindResource.AppGuid != "" {
		return details.BindResource.AppGuid
	}
	return details.AppGUID
}
