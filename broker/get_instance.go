package broker

import (
	"context"

	"github.com/pivotal-cf/brokerapi/v10/domain"

	"github.com/holdfast-osb/holdfast/broker/gate"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

// GetInstance answers GET /v2/service_instances/{id}.
func (b *Broker) GetInstance(ctx context.Context, id string, details domain.FetchInstanceDetails) (domain.GetInstanceDetailsSpec, error) {
	spec, err := b.getInstance(ctx, id, details)
	return spec, b.failure(ctx, "get-instance", err)
}

func (b *Broker) getInstance(ctx context.Context, id string, details domain.FetchInstanceDetails) (domain.GetInstanceDetailsSpec, error) {
	none := domain.GetInstanceDetailsSpec{}
	in, err := b.living(ctx, id)
	// One whose creation or deletion failed is there until it is deleted: a
	// 404 would tell the platform to forget it.
	if fault.Is(err, fault.NotFound) || (err == nil && in.State == store.Creating) {
		return none, notFound("service instance")
	}
	if err != nil {
		return none, err
	}
	if details.ServiceID != "" && details.ServiceID != in.ServiceID {
		return none, notFound("service instance")
	}
	running, err := b.unfinished(ctx, id)
	if err != nil {
		return none, err
	}
	if running != nil {
		return none, concurrency()
	}
	if in.Maintenance != "" {
		gate.NotesOf(ctx).Members = map[string]any{"maintenance_info": map[string]string{"version": in.Maintenance}}
	}
	spec := domain.GetInstanceDetailsSpec{ServiceID: in.ServiceID, PlanID: in.PlanID}
	if in.Private.Parameters != nil {
		spec.Parameters = in.Private.Parameters
	}
	return spec, nil
}
