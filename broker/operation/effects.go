package operation

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/spi"
	"github.com/holdfast-osb/holdfast/store"
)

// do does what the operation's state asks for. Every call in here may be
// repeated, and may have been made before by a process that was killed.
func (r *run) do(ctx context.Context) observed {
	ctx, cancel := context.WithTimeout(ctx, r.w.cfg.CallTimeout)
	defer cancel()
	seen := r.step(ctx)
	if seen.err != nil && ctx.Err() != nil {
		// The call's time ran out. (When the run itself was stopped, its
		// caller sees that first.)
		seen.err = fault.Wrap(fault.Unavailable, seen.err, "a part of the service did not answer in time")
	}
	return seen
}

func (r *run) step(ctx context.Context) observed {
	switch r.op.State {
	case store.Queued:
		return observed{}
	case store.Deploying:
		return r.deploy(ctx, *r.op.Private.Prepared, r.op.ID)
	case store.Deleting:
		return r.delete(ctx)
	}
	service, ok := r.w.services[r.in.Provider]
	if !ok {
		return observed{err: fault.Wrap(fault.Unavailable, fmt.Errorf("no SPI named %q is configured", r.in.Provider), "the data service is not available")}
	}
	switch r.op.State {
	case store.Preparing:
		return r.prepare(ctx, service)
	case store.Configuring:
		return observed{err: service.Configure(ctx, target(r.op, r.in))}
	case store.Restoring:
		seen := r.deploy(ctx, r.in.Private.Prepared, r.op.ID+"-restore")
		if seen.err != nil || seen.task.State != deployer.Succeeded {
			return seen
		}
		was := Instance(r.in)
		was.Nodes = nodesForService(seen.nodes)
		seen.err = service.Configure(ctx, was)
		seen.configured = seen.err == nil
		return seen
	case store.Unbinding:
		return observed{err: r.unbind(ctx, service)}
	default: // Cleaning
		return r.clean(ctx, service)
	}
}

func (r *run) prepare(ctx context.Context, service spi.Service) observed {
	p, err := service.Prepare(ctx, spi.PrepareRequest{Instance: target(r.op, r.in), Previous: previous(r.op, r.in)})
	if err != nil {
		return observed{err: err}
	}
	return observed{prepared: &store.Prepared{Template: p.Template, Attributes: p.Attributes, SecretAttributes: p.SecretAttributes, Secrets: p.Secrets}}
}

// deploy submits a deployment and then follows it. Submitting twice under one
// id starts nothing new, so whoever takes over an operation just submits.
func (r *run) deploy(ctx context.Context, p store.Prepared, id string) observed {
	task, err := r.follow(ctx, id, func() (deployer.Operation, error) {
		return r.w.deployer.Deploy(ctx, deployer.DeployRequest{
			Name: r.in.Deployment, OperationID: id, Template: p.Template, Attributes: p.Attributes, SecretAttributes: p.SecretAttributes,
			// No plan in here: a tag that changed would touch every VM.
			Tags: map[string]string{"instance_id": r.in.ID, "organization_guid": r.in.OrgGUID, "space_guid": r.in.SpaceGUID},
		})
	})
	if err != nil {
		return observed{err: fmt.Errorf("deploy %s: %w", r.in.Deployment, err)}
	}
	seen := observed{task: &task}
	if task.State == deployer.Succeeded {
		seen.nodes, seen.err = r.nodes(ctx)
	}
	return seen
}

func (r *run) nodes(ctx context.Context) ([]store.Node, error) {
	nodes, err := Nodes(ctx, r.w.deployer, r.in.Deployment)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.Wrap(fault.Unavailable, err, "the deployment is not to be found yet")
	}
	return nodes, err
}

// Nodes asks the deployer for the nodes of a deployment, in a stable order.
func Nodes(ctx context.Context, d deployer.Service, name string) ([]store.Node, error) {
	found, err := d.Deployment(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read deployment %s: %w", name, err)
	}
	nodes := make([]store.Node, len(found.Instances))
	for i, vm := range found.Instances {
		nodes[i] = store.Node{Name: fmt.Sprintf("%s/%d", vm.Group, vm.Index), Index: vm.Index, Address: vm.Address}
	}
	sort.Slice(nodes, func(i, j int) bool { return nodes[i].Name < nodes[j].Name })
	return nodes, nil
}

// follow submits what is not submitted yet and otherwise asks how it is.
func (r *run) follow(ctx context.Context, id string, submit func() (deployer.Operation, error)) (deployer.Operation, error) {
	task := r.task
	if task.ID != id || task.State == deployer.Waiting {
		submitted, err := submit()
		if err == nil {
			r.task = submitted
		}
		return submitted, err
	}
	if task.State.Ended() {
		return task, nil
	}
	now, err := r.w.deployer.Operation(ctx, r.in.Deployment, id)
	if fault.Is(err, fault.NotFound) {
		r.task = deployer.Operation{} // the director lost it: submit it again
		return submit()
	}
	if err == nil {
		r.task = now
	}
	return now, err
}

// unbind removes what bindings are left. A service that is gone already keeps
// no deletion from going on: see Limits.Unbinding.
func (r *run) unbind(ctx context.Context, service spi.Service) error {
	bindings, err := r.w.store.ListBindings(ctx, r.in.ID)
	if err != nil {
		return err
	}
	var faults []error
	for _, b := range bindings {
		err := service.Unbind(ctx, spi.BindRequest{Instance: Instance(r.in), BindingID: b.ID, Parameters: b.Private.Parameters, AppGUID: b.AppGUID})
		if err == nil {
			err = r.w.store.DeleteBinding(ctx, r.in.ID, b.ID)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("unbind %s: %w", b.ID, err))
		}
	}
	return errors.Join(faults...)
}

func (r *run) delete(ctx context.Context) observed {
	id := r.op.ID
	if r.op.Submission > 0 {
		id = fmt.Sprintf("%s-%d", id, r.op.Submission+1)
	}
	task, err := r.follow(ctx, id, func() (deployer.Operation, error) { return r.w.deployer.Delete(ctx, r.in.Deployment, id) })
	if err != nil {
		return observed{err: fmt.Errorf("delete %s: %w", r.in.Deployment, err)}
	}
	return observed{task: &task}
}

// clean undoes the rest, and looks whether a late task made the deployment
// again: nothing may be left without a row.
func (r *run) clean(ctx context.Context, service spi.Service) observed {
	if err := service.Remove(ctx, Instance(r.in)); err != nil {
		return observed{err: fmt.Errorf("remove what the service left of %s: %w", r.in.ID, err)}
	}
	_, err := r.w.deployer.Deployment(ctx, r.in.Deployment)
	if fault.Is(err, fault.NotFound) {
		return observed{}
	}
	return observed{err: err, deployed: err == nil}
}
