package store

import (
	"encoding/json"
	"time"
)

// Kind is what an operation does.
type Kind string

// The kinds of operations.
const (
	Create Kind = "create"
	Update Kind = "update"
	Delete Kind = "delete"
)

// State is how far an operation is.
//
//	create: Queued ─▶ Preparing ─▶ Deploying ─▶ Configuring ─▶ Succeeded | Failed
//	update: the same, and from Deploying and Configuring also ─▶ Restoring ─▶ Failed
//	delete: Queued ─▶ Unbinding ─▶ Deleting ─▶ Cleaning ─▶ Succeeded | Failed
type State string

// The states of an operation.
const (
	Queued      State = "queued"
	Preparing   State = "preparing"   // the data service maps plan and parameters to a template
	Deploying   State = "deploying"   // the deployer makes or changes the deployment
	Configuring State = "configuring" // the data service makes the deployment usable
	Restoring   State = "restoring"   // an update failed: the deployment is brought back to what it was
	Unbinding   State = "unbinding"   // the bindings that are left are removed
	Deleting    State = "deleting"    // the deployer deletes the deployment
	Cleaning    State = "cleaning"    // the data service undoes what it left elsewhere
	Succeeded   State = "succeeded"
	Failed      State = "failed"
)

// Ended tells whether nothing more will happen.
func (s State) Ended() bool { return s == Succeeded || s == Failed }

// Operation is one asynchronous request and how far it is.
type Operation struct {
	ID         string
	InstanceID string
	Kind       Kind
	State      State
	Version    int64  // raised by every write, not by leases
	PlanID     string // the plan asked for
	// Maintenance is the plan's maintenance_info version that it deploys.
	Maintenance string
	// Submission counts how often this step was handed to the deployer anew.
	Submission int
	Message    string // for the platform's user
	Done       int
	Total      int
	// Reference finds the operator's log line of a failure.
	Reference string
	// Usable tells of a failed operation whether the instance can be used,
	// Repeatable whether the same request may succeed later.
	Usable     bool
	Repeatable bool
	// StateSince is when State was entered, TroubleSince when its step began
	// to fail (zero while it does not).
	StateSince   time.Time
	TroubleSince time.Time
	LeaseOwner   string
	LeaseUntil   time.Time
	CreatedAt    time.Time
	UpdatedAt    time.Time
	EndedAt      time.Time
	Private      OperationPrivate
}

// OperationPrivate is stored sealed.
type OperationPrivate struct {
	// Given are the parameters of the request, Parameters what the instance
	// shall have: for an update the given ones laid over the earlier ones.
	Given      json.RawMessage
	Parameters json.RawMessage
	Context    json.RawMessage
	// Prepared is what Preparing yielded, nil before.
	Prepared *Prepared
}

// BindingState is how far a binding is.
type BindingState string

// The states of a binding.
const (
	BindingCreating BindingState = "creating" // the data service may know it already
	BindingReady    BindingState = "ready"
	BindingDeleting BindingState = "deleting" // the data service may have forgotten it already
)

// Binding is one service binding. Its credentials are not stored.
type Binding struct {
	ID         string
	InstanceID string
	Version    int64
	State      BindingState
	ServiceID  string
	PlanID     string
	AppGUID    string
	CreatedAt  time.Time
	UpdatedAt  time.Time
	Private    BindingPrivate
}

// BindingPrivate is stored sealed.
type BindingPrivate struct {
	Parameters json.RawMessage
	Context    json.RawMessage
}
