package operation

// DeployRequest asks for a deploy.
type DeployRequest struct {
	Manifest []byte
	// CloudConfigIDs are the configs to use; none means the latest ones.
	CloudConfigIDs []int64
	// New says that the deployment did not exist before this request.
	New                     bool
	Recreate                bool // every VM
	RecreatePersistentDisks bool
	Fix                     bool // recreate VMs whose agents do not answer instead of failing
	DryRun                  bool
	// SkipDrain is "*" for all instance groups, or their names joined by commas.
	SkipDrain   string
	Canaries    string // a number or percentage; empty: as the manifest says
	MaxInFlight string
	// ForceLatestVariables is accepted: variables are always the latest.
	ForceLatestVariables bool
}

// DeleteRequest asks for the deletion of a deployment.
type DeleteRequest struct {
	Deployment string
	// Force goes on when an agent does not answer or a script fails.
	Force bool
}

// The states that StateRequest can ask for, besides those an instance can be in.
const (
	actionRestart  = "restart"
	actionRecreate = "recreate"
)

// StateRequest asks to bring instances into a state and to converge the rest of the
// deployment on its manifest (bosh stop, start, restart, recreate).
type StateRequest struct {
	Deployment string
	State      string // "started", "stopped", "detached", "restart" or "recreate"
	Group      string // empty: all groups
	IndexOrID  string // empty: all instances of the group
	// Manifest replaces the deployment's manifest when not empty.
	Manifest    []byte
	SkipDrain   bool
	Force       bool // accepted: the director asks nothing that needs forcing
	Fix         bool
	DryRun      bool
	Canaries    string
	MaxInFlight string
}

// ActionRequest asks to act on one instance and on nothing else (the CLI's
// --no-converge).
type ActionRequest struct {
	Deployment string
	Group      string
	IndexOrID  string
	Action     string // "start", "stop", "restart" or "recreate"
	SkipDrain  bool
	Hard       bool // of stop: delete the VM
	// IgnoreUnresponsiveAgent recreates a VM without asking its agent for anything.
	IgnoreUnresponsiveAgent bool
}

// ErrandRequest asks to run an errand, named by its job or its instance group.
type ErrandRequest struct {
	Deployment  string
	Name        string
	KeepAlive   bool
	WhenChanged bool
	Instances   []InstanceFilter // empty: all that have the errand
}

// InstanceFilter selects instances: all of a group, or one of it by index, by
// ID, or "first".
type InstanceFilter struct {
	Group string `json:"group"`
	ID    string `json:"id,omitempty"`
}

// InstancesRequest asks for the full state of a deployment's instances.
type InstancesRequest struct {
	Deployment string
	// VMsOnly leaves out instances without a VM (`bosh vms`).
	VMsOnly bool
}
