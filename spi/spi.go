package spi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

// Service is one data service. Implementations keep no state: what a call
// needs is in its arguments, and every call may be repeated.
//
// Faults of every method: Unavailable (repeat later), Internal.
type Service interface {
	// Catalog returns the OSB services this provider offers. It does not
	// change while the provider runs.
	Catalog(ctx context.Context) (Catalog, error)

	// Prepare validates plan and parameters and maps them to a template.
	// Secrets that are passed in are kept, so repeating a call returns the
	// same. Faults: Invalid (with the field).
	Prepare(ctx context.Context, in PrepareRequest) (Preparation, error)

	// Configure makes a deployed instance usable: it checks that the service
	// really answers and creates what bindings need. Faults: Unavailable
	// while the service does not answer.
	Configure(ctx context.Context, in Instance) error

	// Bind creates credentials. Repeating a request returns the same
	// credentials. Faults: Invalid (with the field), Conflict when the binding
	// exists with other parameters.
	Bind(ctx context.Context, in BindRequest) (Credentials, error)

	// Credentials returns what Bind returned. Faults: NotFound when the
	// binding does not exist in the service.
	Credentials(ctx context.Context, in BindRequest) (Credentials, error)

	// Unbind ends the binding's sessions and removes its login. A binding
	// that does not exist is no fault.
	Unbind(ctx context.Context, in BindRequest) error

	// Status reports how the instance is doing. A service that does not
	// answer is a Status with Healthy false, no fault.
	Status(ctx context.Context, in Instance) (Status, error)

	// Remove undoes what Prepare and Configure left outside the deployment.
	// The deployment itself is the deployer's. An instance that was never
	// prepared is no fault.
	Remove(ctx context.Context, in Instance) error
}

// Catalog is what a provider offers.
type Catalog struct {
	Services []Offering `json:"services"`
}

// Offering is an OSB service object (OSB 2.17, "Service Offering Object").
type Offering struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Tags        []string       `json:"tags,omitempty"`
	Metadata    map[string]any `json:"metadata,omitempty"`
	Bindable    bool           `json:"bindable"`
	Plans       []Plan         `json:"plans"`
}

// Plan is an OSB service plan, and beside it what only the broker needs.
type Plan struct {
	ID              string          `json:"id"`
	Name            string          `json:"name"`
	Description     string          `json:"description"`
	Free            bool            `json:"free"`
	Metadata        map[string]any  `json:"metadata,omitempty"`
	Schemas         Schemas         `json:"schemas"`
	MaintenanceInfo MaintenanceInfo `json:"maintenance_info"`
	// MaximumPollingDuration bounds how long a platform polls an operation.
	MaximumPollingDuration time.Duration `json:"maximum_polling_duration,omitempty"`
	// Poolable tells whether instances of this plan may be made in advance.
	Poolable bool `json:"poolable"`
	// MigratesTo lists the plans (ids) an instance of this plan may move to.
	MigratesTo []string `json:"migrates_to,omitempty"`
}

// Schemas are the JSON schemas (draft 4 to 2020-12, objects) of a plan's
// parameters; all three are always given.
type Schemas struct {
	CreateInstance json.RawMessage `json:"create_instance"`
	UpdateInstance json.RawMessage `json:"update_instance"`
	CreateBinding  json.RawMessage `json:"create_binding"`
}

// MaintenanceInfo is OSB's version of what runs below a plan (semver 2).
type MaintenanceInfo struct {
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`
}

// Instance is what the broker knows of one service instance. Attributes and
// Secrets are what Prepare returned.
type Instance struct {
	ID         string          `json:"id"`
	Deployment string          `json:"deployment"` // the BOSH deployment's name
	ServiceID  string          `json:"service_id"`
	PlanID     string          `json:"plan_id"`
	Parameters json.RawMessage `json:"parameters,omitempty"` // a JSON object or absent
	Context    json.RawMessage `json:"context,omitempty"`    // OSB context object or absent
	Attributes map[string]any  `json:"attributes,omitempty"`
	Secrets    secret.Values   `json:"-"` // travels in its own member of the wire form
	Nodes      []Node          `json:"nodes,omitempty"`
}

// Node is one VM of the instance's deployment.
type Node struct {
	Name    string `json:"name"`  // "group/index"
	Index   int    `json:"index"` // BOSH index
	Address string `json:"address"`
}

// PrepareRequest asks for the template of an instance that is to be made, or
// changed when Previous is set.
type PrepareRequest struct {
	Instance Instance
	Previous *Previous
}

// Previous is what an instance is before an update.
type Previous struct {
	PlanID     string          `json:"plan_id"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Attributes map[string]any  `json:"attributes,omitempty"`
}

// Preparation says how to deploy an instance.
type Preparation struct {
	Template   string         // the template's name
	Attributes map[string]any // values for the template
	// SecretAttributes are values for the template too. Whoever may read
	// manifests on the director sees them.
	SecretAttributes secret.Values
	// Secrets come back with every later call and go nowhere else.
	Secrets secret.Values
}

// BindRequest names one binding of one instance.
type BindRequest struct {
	Instance   Instance
	BindingID  string
	Parameters json.RawMessage // a JSON object or absent
	AppGUID    string          // absent for a service key
}

// Credentials is the OSB credentials object that the app sees.
type Credentials map[string]any

// Status is the state of one instance as its service sees it.
type Status struct {
	Healthy bool         `json:"healthy"`
	Message string       `json:"message"` // one sentence for people
	Nodes   []NodeStatus `json:"nodes"`
	// AliasTarget is the address that the instance's DNS alias names now,
	// absent when there is no alias.
	AliasTarget string `json:"alias_target,omitempty"`
}

// NodeStatus is the state of one node.
type NodeStatus struct {
	Node
	Role       string   `json:"role"`                  // "primary", "standby", "unknown"
	LagBytes   *int64   `json:"lag_bytes,omitempty"`   // of a standby
	LagSeconds *float64 `json:"lag_seconds,omitempty"` // of a standby
	DiskUsed   *int64   `json:"disk_used,omitempty"`   // bytes on the persistent disk
	DiskSize   *int64   `json:"disk_size,omitempty"`   // bytes
	Message    string   `json:"message,omitempty"`     // why a node is not well
}
