package store

import (
	"context"
	"errors"
	"time"
)

// Store is durable: when a method that changes something returns nil, the
// change survives the loss of power. Every fault is a *fault.Error.
//
// Faults of every method: Unavailable (the store cannot be reached or is busy),
// Internal.
type Store interface {
	Instances
	Operations
	Bindings

	// Ping tells whether the store can be read.
	Ping(ctx context.Context) error
	// Purge removes instances that are gone, with their operations, and ended
	// operations that are not their instance's latest, when they last changed
	// before the given time. It returns how many instances and operations.
	Purge(ctx context.Context, before time.Time) (instances, operations int, err error)
	Close() error
}

// Instances are the rows of service instances.
type Instances interface {
	// CreateInstance writes a new instance and its first operation together.
	// A row in state Gone with the same id is replaced. Faults: Conflict
	// (ErrExists) when the id or the deployment's name is taken.
	CreateInstance(ctx context.Context, in Instance, op Operation) error
	// Instance returns one, also one that is Gone. Faults: NotFound.
	Instance(ctx context.Context, id string) (Instance, error)
	// SaveNodes replaces the instance's nodes if it has not changed since it
	// was read. Faults: Conflict (ErrStale).
	SaveNodes(ctx context.Context, in Instance) error
	// Deployments maps the deployment name of every instance that is not Gone
	// to the instance's id.
	Deployments(ctx context.Context) (map[string]string, error)
}

// Operations are the rows of asynchronous requests and their leases.
type Operations interface {
	// StartOperation writes an operation on an existing instance that has not
	// changed since it was read. A Delete ends an unfinished operation of
	// another kind as Failed and takes its place, and returns its id; that
	// operation's lease stays until its holder releases it or it expires.
	// Faults: Conflict (ErrBusy) when an unfinished operation stands in the
	// way, Conflict (ErrStale) when the instance changed, NotFound.
	StartOperation(ctx context.Context, op Operation, read Instance) (superseded string, err error)
	// Operation returns one. Faults: NotFound.
	Operation(ctx context.Context, id string) (Operation, error)
	// LatestOperation returns the instance's youngest operation. Faults: NotFound.
	LatestOperation(ctx context.Context, instanceID string) (Operation, error)
	// Claim leases the oldest unfinished operation that nobody holds to owner.
	// An operation waits while another operation of its instance is leased. A
	// row that cannot be read is leased all the same, so that it keeps no
	// other from being claimed. Faults: NotFound when nothing is to be done.
	Claim(ctx context.Context, owner string, lease time.Duration) (Operation, error)
	// Extend makes owner's leases of these operations last this long from now.
	// It returns the ids of those that it still holds, and of these apart the
	// ones that have ended under its hands: superseded by a delete. A lease
	// that expired and was claimed by nobody else is held again.
	Extend(ctx context.Context, owner string, ids []string, lease time.Duration) (held, superseded []string, err error)
	// Release gives up owner's lease of an operation, if it still holds it.
	Release(ctx context.Context, id, owner string) error
	// SaveOperation writes an operation, and with it the instance if given, if
	// op.LeaseOwner still holds it and neither changed since it was read. The
	// versions of both arguments are raised. Saving an ended operation gives
	// up the lease; an instance that is saved as Gone loses its bindings and
	// everything Private. Faults: Conflict (ErrStale).
	SaveOperation(ctx context.Context, op *Operation, in *Instance) error
	// CountOperations counts the operations of each kind and state.
	CountOperations(ctx context.Context) (map[Kind]map[State]int, error)
}

// Bindings are the rows of service bindings.
type Bindings interface {
	// CreateBinding writes a new binding of an instance that is Ready and has
	// no unfinished operation. Faults: Conflict (ErrExists) when it exists,
	// Conflict (ErrBusy) when the instance is not in that state, NotFound when
	// there is no such instance.
	CreateBinding(ctx context.Context, b Binding) error
	// Binding returns one. Faults: NotFound.
	Binding(ctx context.Context, instanceID, id string) (Binding, error)
	// ListBindings returns an instance's bindings by id.
	ListBindings(ctx context.Context, instanceID string) ([]Binding, error)
	// SaveBinding writes a binding's state if it has not changed since it was
	// read, and raises its version. Faults: Conflict (ErrStale).
	SaveBinding(ctx context.Context, b *Binding) error
	// DeleteBinding removes a binding. One that does not exist is no fault.
	DeleteBinding(ctx context.Context, instanceID, id string) error
}

// What a Conflict is about; found with errors.Is.
var (
	ErrExists = errors.New("exists already")
	ErrBusy   = errors.New("an unfinished operation stands in the way")
	ErrStale  = errors.New("changed since it was read")
)
