package deployertest

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
)

// Fixture is a deployer to be tested.
type Fixture struct {
	Service deployer.Service
	// Request is a request that deploys, but for Name and OperationID. Its
	// template must require at least one attribute and one secret attribute.
	Request func() deployer.DeployRequest
	// Limit is how long one operation may take.
	Limit time.Duration
	// Poll is how long to pause between calls.
	Poll time.Duration
}

// Run tests the deployers that open makes, one for each case.
func Run(t *testing.T, open func(*testing.T) Fixture) {
	cases := map[string]func(*testing.T, Fixture){
		"a deployment's life":                       testLife,
		"repeating a deploy starts nothing new":     testRepeat,
		"deploys at the same time make one task":    testConcurrent,
		"an update keeps instances":                 testUpdate,
		"a second deploy waits":                     testWaiting,
		"delete where there is nothing":             testDeleteNothing,
		"repeating a delete":                        testRepeatDelete,
		"delete during a deploy":                    testDeleteDuringDeploy,
		"bad input is refused with its name":        testInvalid,
		"an operation id belongs to one deployment": testForeignOperation,
		"what is not there is not found":            testNotFound,
		"templates":                                 testTemplates,
		"render shows what deploy would submit":     testRender,
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// run is one case's view of its fixture.
type run struct {
	*testing.T
	Fixture
	ctx context.Context
}

func newRun(t *testing.T, f Fixture) *run {
	ctx, cancel := context.WithTimeout(context.Background(), 4*f.Limit)
	t.Cleanup(cancel)
	return &run{T: t, Fixture: f, ctx: ctx}
}

func newID() string { return "op-" + strings.ToLower(rand.Text()[:16]) }

// request is the fixture's with names; the deployment is removed after the test.
func (r *run) request() deployer.DeployRequest {
	r.Helper()
	in := r.Request()
	in.Name = "conformance-" + strings.ToLower(rand.Text()[:10])
	in.OperationID = newID()
	r.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), r.Limit)
		defer cancel()
		id := newID()
		for {
			op, err := r.Service.Delete(ctx, in.Name, id)
			if err == nil && op.State.Ended() || ctx.Err() != nil {
				if op.State != deployer.Succeeded {
					r.Errorf("clean up %s: %+v, %v", in.Name, op, err)
				}
				return
			}
			r.pause(ctx)
		}
	})
	return in
}

func (r *run) pause(ctx context.Context) {
	timer := time.NewTimer(r.Poll)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// follow repeats a call until its operation has ended, and checks on the way
// that progress and state never go backwards.
func (r *run) follow(what string, call func(context.Context) (deployer.Operation, error)) deployer.Operation {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, r.Limit)
	defer cancel()
	order := map[deployer.State]int{deployer.Waiting: 0, deployer.Queued: 1, deployer.Running: 2, deployer.Succeeded: 3, deployer.Failed: 3}
	var before deployer.Operation
	for {
		op, err := call(ctx)
		if err != nil {
			r.Fatalf("%s: %v (before: %+v)", what, err, before)
		}
		if before.TaskID == op.TaskID && order[op.State] < order[before.State] {
			r.Errorf("%s: state went from %s to %s", what, before.State, op.State)
		}
		if before.TaskID == op.TaskID && share(op) < share(before) {
			r.Errorf("%s: progress went from %+v to %+v", what, before.Progress, op.Progress)
		}
		if op.Progress.Done > op.Progress.Total || op.Progress.Done < 0 {
			r.Errorf("%s: progress is %d of %d", what, op.Progress.Done, op.Progress.Total)
		}
		if op.State.Ended() {
			return op
		}
		before = op
		if r.pause(ctx); ctx.Err() != nil {
			r.Fatalf("%s: not ended in %s: %+v", what, r.Limit, op)
		}
	}
}

func share(op deployer.Operation) float64 {
	if op.Progress.Total == 0 {
		return 0
	}
	return float64(op.Progress.Done) / float64(op.Progress.Total)
}

func (r *run) deploy(in deployer.DeployRequest) deployer.Operation {
	r.Helper()
	return r.follow("deploy "+in.Name, func(ctx context.Context) (deployer.Operation, error) { return r.Service.Deploy(ctx, in) })
}

func (r *run) mustDeploy(in deployer.DeployRequest) deployer.Operation {
	r.Helper()
	op := r.deploy(in)
	if op.State != deployer.Succeeded {
		r.Fatalf("deploy %s: %+v", in.Name, op)
	}
	return op
}

func (r *run) delete(name, id string) deployer.Operation {
	r.Helper()
	return r.follow("delete "+name, func(ctx context.Context) (deployer.Operation, error) { return r.Service.Delete(ctx, name, id) })
}

func (r *run) wantKind(what string, err error, want fault.Kind) {
	r.Helper()
	if !fault.Is(err, want) {
		r.Errorf("%s: got %s, want a fault of kind %s", what, describe(err), want)
	}
}

func describe(err error) string {
	if err == nil {
		return "no error"
	}
	f := fault.From(err)
	return fmt.Sprintf("%s (field %q): %v", f.Kind, f.Field, err)
}

// listed finds a deployment among all.
func (r *run) listed(name string) *deployer.Deployment {
	r.Helper()
	all, err := r.Service.Deployments(r.ctx)
	if err != nil {
		r.Fatalf("list deployments: %v", err)
	}
	for _, d := range all {
		if d.Name == name {
			return &d
		}
	}
	return nil
}
