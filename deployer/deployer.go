package deployer

import (
	"context"
	"time"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

// Service manages deployments on one director. Every call may be repeated.
//
// Faults of every method: Unavailable (the director cannot be reached; repeat
// later), Internal.
type Service interface {
	// Deploy creates or updates a deployment. It starts at most one effective
	// task for an operation id: repeating the call returns that operation.
	// While another task holds the deployment it submits nothing and returns
	// an operation in state Waiting: repeat the call. Faults: Invalid (an
	// attribute is missing, undeclared or of the wrong type, or the name is
	// not allowed), NotFound (no such template).
	Deploy(ctx context.Context, in DeployRequest) (Operation, error)

	// Delete removes a deployment, its VMs and its disks. It cancels a deploy
	// that still runs, and does not end before every earlier task of the
	// deployment has ended; until its own task is submitted the state is
	// Waiting: repeat the call. Where there is nothing to delete the
	// operation is Succeeded at once.
	Delete(ctx context.Context, name, operationID string) (Operation, error)

	// Deployment reports a deployment. Faults: NotFound.
	Deployment(ctx context.Context, name string) (Deployment, error)

	// Operation reports one operation of a deployment. Faults: NotFound when
	// the director knows no task with this id (it was never submitted).
	Operation(ctx context.Context, name, operationID string) (Operation, error)

	// Deployments lists the deployments that carry our tag, without Instances.
	Deployments(ctx context.Context) ([]Deployment, error)

	// Templates lists the templates by name.
	Templates(ctx context.Context) ([]Template, error)

	// Template returns one. Faults: NotFound.
	Template(ctx context.Context, name string) (Template, error)

	// Render returns the manifest that Deploy would submit, with secret
	// attributes redacted. Faults: as Deploy.
	Render(ctx context.Context, in DeployRequest) (manifest []byte, err error)
}

// DeployRequest asks for a deployment as a template says.
type DeployRequest struct {
	Name             string // the deployment's name: ^[a-z][a-z0-9-]{0,62}$
	OperationID      string // chosen by the caller, unique: ^[A-Za-z0-9-]{8,64}$
	Template         string
	Attributes       map[string]any
	SecretAttributes secret.Values
	// Tags are added to the manifest's tags; ours is always there.
	Tags map[string]string
}

// State is an operation's.
type State string

// The states of an operation.
//
//	Waiting ─▶ Queued ─▶ Running ─▶ Succeeded | Failed
const (
	Waiting   State = "waiting"   // not submitted: another task holds the deployment
	Queued    State = "queued"    // submitted, no worker yet
	Running   State = "running"   // the director works on it
	Succeeded State = "succeeded" // done
	Failed    State = "failed"    // ended without success, or cancelled
)

// Ended tells whether nothing more will happen.
func (s State) Ended() bool { return s == Succeeded || s == Failed }

// Operation is a deploy or a delete.
type Operation struct {
	ID         string    `json:"id"`
	Deployment string    `json:"deployment"`
	State      State     `json:"state"`
	Progress   Progress  `json:"progress"`
	TaskID     int       `json:"task_id,omitempty"` // the director's, 0 before it is submitted
	StartedAt  time.Time `json:"started_at,omitzero"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
	// Error is the director's reason for Failed, for the operator.
	Error string `json:"error,omitempty"`
}

// Progress is how far an operation is, from the director's own events.
type Progress struct {
	Stage   string `json:"stage,omitempty"`   // "Creating missing vms"
	Message string `json:"message,omitempty"` // "postgresql/0: executing pre-start"
	Done    int    `json:"done"`              // steps of the whole, 0..Total
	Total   int    `json:"total"`             // an estimate that may grow; 0 when unknown
}

// Deployment is one on the director.
type Deployment struct {
	Name      string            `json:"name"`
	Tags      map[string]string `json:"tags,omitempty"`
	Locked    bool              `json:"locked"` // a task works on it
	Instances []Instance        `json:"instances,omitempty"`
}

// Instance is one VM (or its place) in a deployment.
type Instance struct {
	Group   string `json:"group"`
	Index   int    `json:"index"`
	ID      string `json:"id"`
	AZ      string `json:"az,omitempty"`
	Address string `json:"address,omitempty"` // first IP, absent without a VM
	State   string `json:"state,omitempty"`   // BOSH process state, when the director was asked for it
}

// Template is a manifest with placeholders.
type Template struct {
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Digest      string      `json:"digest"` // sha256 of everything that makes the template
	Attributes  []Attribute `json:"attributes"`
}

// Attribute is a placeholder's declaration.
type Attribute struct {
	Name        string `json:"name"`
	Type        string `json:"type"` // string, integer, number, boolean, list, map
	Description string `json:"description"`
	Secret      bool   `json:"secret"`
	Default     any    `json:"default,omitempty"` // absent: required
}
