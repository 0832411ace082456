package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
)

// instance is one that the demo makes, with its one binding.
type instance struct {
	planName   string
	plan       osbclient.Plan
	parameters map[string]any

	id, binding string
	credentials map[string]any
	nodes       []node
	pending     <-chan error // tells how its operation in the background ended
}

// node is one server's place: its name stays, and so does its address here.
type node struct{ name, address string }

// short is the first label of its name.
func (n node) short() string {
	first, _, _ := strings.Cut(n.name, ".")
	return first
}

func newInstance(plan string, parameters map[string]any) *instance {
	return &instance{planName: plan, parameters: parameters, id: osbclient.NewID(), binding: osbclient.NewID()}
}

// provisionLimit bounds a create, compilation of packages included, and a delete.
const provisionLimit = 10 * time.Minute

func (d *demo) order(ctx context.Context, in *instance) (osbclient.Started, error) {
	const org, space = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
	request := osbclient.InstanceRequest{
		ServiceID: d.service.ID, PlanID: in.plan.ID, OrgGUID: org, SpaceGUID: space,
		Context: map[string]any{"platform": "holdfast", "organization_guid": org, "space_guid": space, "instance_name": "demo-" + in.planName},
	}
	if in.parameters != nil {
		var err error
		if request.Parameters, err = json.Marshal(in.parameters); err != nil {
			return osbclient.Started{}, fmt.Errorf("encode the parameters: %w", err)
		}
	}
	return d.broker.Provision(ctx, in.id, request)
}

func (d *demo) provision(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, provisionLimit)
	defer cancel()
	started, err := d.order(ctx, d.single)
	if err != nil {
		return err
	}
	return d.follow(ctx, d.single, started, "")
}

func (d *demo) deprovision(ctx context.Context, in *instance) (osbclient.Started, error) {
	return d.broker.Deprovision(ctx, in.id, d.service.ID, in.plan.ID)
}

// removeSingle asks for the deletion and goes on.
func (d *demo) removeSingle(ctx context.Context) error {
	started, err := d.deprovision(ctx, d.single)
	if err != nil {
		return err
	}
	d.say("asked for; lines about it begin with %s", singleMark)
	d.meanwhile(ctx, d.single, started, singleMark, "is gone")
	return nil
}

// longestSilence is how long nothing at all is printed before a word of progress
// is repeated; polls come on top.
const longestSilence = time.Second

// follow prints an operation's progress until it ends, after a mark that tells it
// from what else goes on.
func (d *demo) follow(ctx context.Context, in *instance, started osbclient.Started, mark string) error {
	if !started.Async {
		return nil
	}
	begin, said := time.Now(), ""
	last, err := d.broker.Wait(ctx, in.id, d.service.ID, in.plan.ID, started.Operation, func(last osbclient.LastOperation) {
		if last.Description != said || d.silent(longestSilence) {
			said = last.Description
			d.say("%s%5.1f s  %s", mark, time.Since(begin).Seconds(), said)
		}
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the operation has not ended after %s; its last words: %s", provisionLimit, said)
	}
	if err != nil {
		return err
	}
	if last.State != "succeeded" {
		return fmt.Errorf("the operation %s: %s", last.State, last.Description)
	}
	return nil
}

func (d *demo) bind(ctx context.Context, in *instance) error {
	credentials, err := d.broker.Bind(ctx, in.id, in.binding, osbclient.BindRequest{ServiceID: d.service.ID, PlanID: in.plan.ID})
	if err != nil {
		return err
	}
	in.credentials = credentials
	for _, key := range []string{"host", "port", "database", "username"} {
		d.say("%-9s %v", key, credentials[key])
	}
	d.say("%-9s %d characters, shown to the app only", "password", len(fmt.Sprint(credentials["password"])))
	return d.findNodes(ctx, in)
}

// findNodes looks the nodes' names up while they are there.
func (d *demo) findNodes(ctx context.Context, in *instance) error {
	hosts, _ := in.credentials["hosts"].([]any)
	if len(hosts) == 0 {
		return errors.New("the credentials hold no hosts")
	}
	in.nodes = nil
	for _, host := range hosts {
		name := fmt.Sprint(host)
		addresses, err := d.lookup(ctx, name)
		if err != nil || len(addresses) == 0 {
			return fmt.Errorf("look up %s: %w", name, err)
		}
		in.nodes = append(in.nodes, node{name, addresses[0]})
		d.say("%-9s %s, now %s", "node", name, addresses[0])
	}
	return nil
}

// node returns the one at an address.
func (in *instance) node(address string) node {
	for _, n := range in.nodes {
		if n.address == address {
			return n
		}
	}
	return node{"an unknown node", address}
}

func (d *demo) unbind(ctx context.Context, in *instance) error {
	if err := d.broker.Unbind(ctx, in.id, in.binding, d.service.ID, in.plan.ID); err != nil {
		return err
	}
	return d.refusedLogin(ctx, in)
}
