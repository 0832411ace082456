package brokertest

import (
	"context"
	"fmt"
	"regexp"
	"sort"
	"sync"
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
)

// Director is a deployer that keeps its deployments in memory. Its tasks take
// time and hold their deployment, as a director's do.
type Director struct {
	hooks

	mu          sync.Mutex
	takes       time.Duration
	fail        func(t Task) string
	tasks       []*Task
	deployments map[string]deployer.DeployRequest
	addresses   map[string]string
	calls       map[string]int
}

// Task is one task of the director.
type Task struct {
	Operation string
	Name      string
	Delete    bool
	Request   deployer.DeployRequest
	State     deployer.State
	Error     string
	started   time.Time
	id        int
}

var _ deployer.Service = (*Director)(nil)

// NewDirector makes a director whose tasks take this long.
func NewDirector(takes time.Duration) *Director {
	return &Director{takes: takes, deployments: map[string]deployer.DeployRequest{}, addresses: map[string]string{}, calls: map[string]int{}}
}

func (d *Director) begin(ctx context.Context, call, name string) error {
	d.mu.Lock()
	d.calls[call]++
	d.mu.Unlock()
	return d.before(ctx, call, name)
}

// Takes sets how long a task runs.
func (d *Director) Takes(t time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.takes = t
}

// Fail makes a function give the reason why a task fails; nil or "": it does
// not.
func (d *Director) Fail(f func(t Task) string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = f
}

// settle ends the tasks whose time is over. Called with the lock held.
func (d *Director) settle() {
	for _, t := range d.tasks {
		if t.State == deployer.Running && time.Since(t.started) >= d.takes {
			d.finish(t)
		}
	}
}

func (d *Director) finish(t *Task) {
	if d.fail != nil {
		if why := d.fail(*t); why != "" {
			t.State, t.Error = deployer.Failed, why
			return
		}
	}
	t.State = deployer.Succeeded
	if t.Delete {
		delete(d.deployments, t.Name)
		return
	}
	d.deployments[t.Name] = t.Request
	if d.addresses[t.Name] == "" {
		d.addresses[t.Name] = fmt.Sprintf("10.0.%d.%d", len(d.addresses)/250, len(d.addresses)%250+1)
	}
}

func (d *Director) find(name, operation string) *Task {
	for _, t := range d.tasks {
		if t.Name == name && t.Operation == operation {
			return t
		}
	}
	return nil
}

func (d *Director) running(name string) *Task {
	for _, t := range d.tasks {
		if t.Name == name && t.State == deployer.Running {
			return t
		}
	}
	return nil
}

func (d *Director) start(t *Task) *Task {
	t.State, t.started, t.id = deployer.Running, time.Now(), len(d.tasks)+1
	d.tasks = append(d.tasks, t)
	return t
}

func (d *Director) report(t *Task) deployer.Operation {
	op := deployer.Operation{ID: t.Operation, Deployment: t.Name, State: t.State, Error: t.Error, TaskID: t.id, StartedAt: t.started}
	if t.State == deployer.Running {
		done := int(9 * time.Since(t.started) / max(d.takes, 1))
		op.Progress = deployer.Progress{Stage: "Creating missing vms", Message: "node/0", Done: min(done, 9), Total: 9}
	}
	return op
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
var operationPattern = regexp.MustCompile(`^[A-Za-z0-9-]{8,64}$`)

// Deploy implements deployer.Service.
func (d *Director) Deploy(ctx context.Context, in deployer.DeployRequest) (deployer.Operation, error) {
	if err := d.begin(ctx, "deploy", in.Name); err != nil {
		return deployer.Operation{}, err
	}
	if !namePattern.MatchString(in.Name) || !operationPattern.MatchString(in.OperationID) {
		return deployer.Operation{}, fault.New(fault.Invalid, "bad name %q or operation id %q", in.Name, in.OperationID)
	}
	if in.Template != "kettle" {
		return deployer.Operation{}, fault.New(fault.NotFound, "there is no template %q", in.Template)
	}
	op := d.submit(in)
	return op, d.after(ctx, "deploy", in.Name)
}

func (d *Director) submit(in deployer.DeployRequest) deployer.Operation {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle()
	if t := d.find(in.Name, in.OperationID); t != nil {
		return d.report(t)
	}
	if d.running(in.Name) != nil {
		return deployer.Operation{ID: in.OperationID, Deployment: in.Name, State: deployer.Waiting}
	}
	return d.report(d.start(&Task{Operation: in.OperationID, Name: in.Name, Request: in}))
}

// Delete implements deployer.Service.
func (d *Director) Delete(ctx context.Context, name, operationID string) (deployer.Operation, error) {
	if err := d.begin(ctx, "delete", name); err != nil {
		return deployer.Operation{}, err
	}
	op := d.submitDelete(name, operationID)
	return op, d.after(ctx, "delete", name)
}

func (d *Director) submitDelete(name, operationID string) deployer.Operation {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle()
	if t := d.find(name, operationID); t != nil {
		return d.report(t)
	}
	if t := d.running(name); t != nil {
		if !t.Delete {
			t.State, t.Error = deployer.Failed, "cancelled"
			// What it had made so far is there.
			d.deployments[name] = t.Request
		}
		return deployer.Operation{ID: operationID, Deployment: name, State: deployer.Waiting}
	}
	if _, exists := d.deployments[name]; !exists {
		return deployer.Operation{ID: operationID, Deployment: name, State: deployer.Succeeded}
	}
	return d.report(d.start(&Task{Operation: operationID, Name: name, Delete: true}))
}

// Deployment implements deployer.Service.
func (d *Director) Deployment(ctx context.Context, name string) (deployer.Deployment, error) {
	if err := d.begin(ctx, "deployment", name); err != nil {
		return deployer.Deployment{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle()
	request, ok := d.deployments[name]
	if !ok {
		return deployer.Deployment{}, fault.New(fault.NotFound, "there is no deployment %q", name)
	}
	return deployer.Deployment{Name: name, Tags: request.Tags, Locked: d.running(name) != nil,
		Instances: []deployer.Instance{{Group: "node", Index: 0, ID: "vm-" + name, Address: d.addresses[name]}}}, nil
}

// Operation implements deployer.Service.
func (d *Director) Operation(ctx context.Context, name, operationID string) (deployer.Operation, error) {
	if err := d.begin(ctx, "operation", name); err != nil {
		return deployer.Operation{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle()
	if t := d.find(name, operationID); t != nil {
		return d.report(t), nil
	}
	return deployer.Operation{}, fault.New(fault.NotFound, "there is no operation %q", operationID)
}

// Deployments implements deployer.Service.
func (d *Director) Deployments(ctx context.Context) ([]deployer.Deployment, error) {
	if err := d.begin(ctx, "deployments", ""); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle()
	var all []deployer.Deployment
	for name, request := range d.deployments {
		all = append(all, deployer.Deployment{Name: name, Tags: request.Tags})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

// Templates implements deployer.Service.
func (d *Director) Templates(context.Context) ([]deployer.Template, error) {
	return []deployer.Template{{Name: "kettle", Description: "one kettle"}}, nil
}

// Template implements deployer.Service.
func (d *Director) Template(_ context.Context, name string) (deployer.Template, error) {
	if name != "kettle" {
		return deployer.Template{}, fault.New(fault.NotFound, "there is no template %q", name)
	}
	return deployer.Template{Name: name}, nil
}

// Render implements deployer.Service.
func (d *Director) Render(_ context.Context, in deployer.DeployRequest) ([]byte, error) {
	return []byte("name: " + in.Name + "\n"), nil
}

// Tasks lists what was submitted for a deployment, in order.
func (d *Director) Tasks(name string) []Task {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle()
	var all []Task
	for _, t := range d.tasks {
		if t.Name == name {
			all = append(all, *t)
		}
	}
	return all
}

// Deployed returns what a deployment was last deployed with.
func (d *Director) Deployed(name string) (deployer.DeployRequest, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle()
	request, ok := d.deployments[name]
	return request, ok
}

// Names lists the deployments there are.
func (d *Director) Names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.settle()
	names := make([]string, 0, len(d.deployments))
	for name := range d.deployments {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Conjure makes a deployment appear, as a task that nobody waits for would.
func (d *Director) Conjure(name string, tags map[string]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deployments[name] = deployer.DeployRequest{Name: name, Tags: tags}
}

// Move gives a deployment's node another address.
func (d *Director) Move(name, address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addresses[name] = address
}

// Calls counts the calls of one kind.
func (d *Director) Calls(call string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[call]
}
