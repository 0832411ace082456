package broker

import (
	"context"
	"strings"
	"time"

	"github.com/pivotal-cf/brokerapi/v10/domain"

	"github.com/holdfast-osb/holdfast/broker/gate"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

// LastOperation answers GET /v2/service_instances/{id}/last_operation. It only
// reads a row: a thousand polling platforms cost the director nothing.
func (b *Broker) LastOperation(ctx context.Context, id string, details domain.PollDetails) (domain.LastOperation, error) {
	last, err := b.lastOperation(ctx, id, details)
	return last, b.failure(ctx, "last-operation", err)
}

func (b *Broker) lastOperation(ctx context.Context, id string, details domain.PollDetails) (domain.LastOperation, error) {
	op, err := b.polled(ctx, id, details.OperationData)
	if fault.Is(err, fault.NotFound) {
		// A deletion whose rows were purged long ago. Anything else was never.
		if strings.HasPrefix(details.OperationData, string(store.Delete)+"-") {
			return domain.LastOperation{}, gone()
		}
		return domain.LastOperation{}, notFound("service instance")
	}
	if err != nil {
		return domain.LastOperation{}, err
	}
	notes := gate.NotesOf(ctx)
	switch op.State {
	case store.Succeeded:
		return domain.LastOperation{State: domain.Succeeded, Description: op.Message}, nil
	case store.Failed:
		// OSB 2.17, "Polling Last Operation": after a failed update or delete
		// the platform must know whether the instance is still of use.
		if op.Kind != store.Create {
			notes.Members = map[string]any{"instance_usable": op.Usable}
		}
		if op.Kind == store.Update {
			notes.Members["update_repeatable"] = op.Repeatable
		}
		return domain.LastOperation{State: domain.Failed, Description: op.Message}, nil
	}
	notes.RetryAfter = pollAfter(time.Since(op.CreatedAt))
	return domain.LastOperation{State: domain.InProgress, Description: op.Message}, nil
}

// polled finds the operation that the platform asks about. An operation string
// that is unknown or absent means the latest.
func (b *Broker) polled(ctx context.Context, instanceID, operationID string) (store.Operation, error) {
	if operationID != "" {
		op, err := b.store.Operation(ctx, operationID)
		if err == nil && op.InstanceID == instanceID {
			return op, nil
		}
		if err != nil && !fault.Is(err, fault.NotFound) {
			return op, err
		}
	}
	return b.store.LatestOperation(ctx, instanceID)
}

// pollAfter asks platforms to come back soon at first, and more rarely later.
func pollAfter(age time.Duration) time.Duration {
	return min(max(age/10, time.Second), 15*time.Second)
}

// LastBindingOperation answers polls of a binding: bindings are made while the
// platform waits, so there is never an operation.
func (b *Broker) LastBindingOperation(ctx context.Context, instanceID, bindingID string, _ domain.PollDetails) (domain.LastOperation, error) {
	binding, err := b.store.Binding(ctx, instanceID, bindingID)
	switch {
	case fault.Is(err, fault.NotFound):
		err = gone()
	case err == nil && binding.State == store.BindingReady:
		return domain.LastOperation{State: domain.Succeeded}, nil
	case err == nil:
		return domain.LastOperation{State: domain.Failed, Description: "the binding's creation or deletion did not end: repeat it"}, nil
	}
	return domain.LastOperation{}, b.failure(ctx, "last-binding-operation", err)
}
