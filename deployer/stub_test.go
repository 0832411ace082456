package deployer_test

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
)

// stub answers by the name it is asked for.
type stub struct{}

var sampleOperation = deployer.Operation{ID: "deploy-0001", Deployment: "good-0001", State: deployer.Running, TaskID: 7,
	Progress: deployer.Progress{Stage: "Updating instance", Message: "web/0", Done: 60, Total: 100}, StartedAt: time.Unix(1795345106, 0).UTC()}

func (stub) Deploy(_ context.Context, in deployer.DeployRequest) (deployer.Operation, error) {
	if in.Template == "bad" {
		return deployer.Operation{}, fault.InvalidField("attributes.x", "is not declared")
	}
	return sampleOperation, nil
}

func (stub) Delete(_ context.Context, name, id string) (deployer.Operation, error) {
	return deployer.Operation{ID: id, Deployment: name, State: deployer.Succeeded}, nil
}

func (stub) Deployment(_ context.Context, name string) (deployer.Deployment, error) {
	switch name {
	case "panic":
		panic("inner text")
	case "cause":
		return deployer.Deployment{}, fault.Wrap(fault.Unavailable, errors.New("inner text"), "not now")
	}
	return deployer.Deployment{Name: name, Tags: map[string]string{"holdfast": "default"}, Locked: true,
		Instances: []deployer.Instance{{Group: "web", Index: 0, ID: "cfffc224", AZ: "z1", Address: "10.244.0.2"}}}, nil
}

func (stub) Operation(context.Context, string, string) (deployer.Operation, error) {
	ended := sampleOperation
	ended.State, ended.EndedAt, ended.Error = deployer.Failed, ended.StartedAt.Add(time.Second), "no (code 1)"
	return ended, nil
}

func (s stub) Deployments(ctx context.Context) ([]deployer.Deployment, error) {
	d, err := s.Deployment(ctx, "good-0001")
	return []deployer.Deployment{d}, err
}

func (s stub) Templates(ctx context.Context) ([]deployer.Template, error) {
	t, err := s.Template(ctx, "good-0001")
	return []deployer.Template{t}, err
}

func (stub) Template(_ context.Context, name string) (deployer.Template, error) {
	return deployer.Template{Name: name, Description: "d", Digest: "sha256:00", Attributes: []deployer.Attribute{
		{Name: "a", Type: "integer", Description: "d", Default: 1}, {Name: "b", Type: "string", Description: "d", Secret: true}}}, nil
}

func (stub) Render(context.Context, deployer.DeployRequest) ([]byte, error) {
	return []byte("name: a\n"), nil
}
