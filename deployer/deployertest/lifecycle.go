package deployertest

import (
	"context"
	"sync"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
)

func testLife(t *testing.T, f Fixture) {
	r := newRun(t, f)
	in := r.request()
	in.Tags = map[string]string{"conformance": "yes"}
	op := r.mustDeploy(in)
	if op.ID != in.OperationID || op.Deployment != in.Name || op.TaskID == 0 || op.Error != "" {
		t.Errorf("operation: got %+v", op)
	}
	if op.StartedAt.IsZero() || op.EndedAt.IsZero() || op.EndedAt.Before(op.StartedAt) {
		t.Errorf("operation's times: got %s to %s", op.StartedAt, op.EndedAt)
	}
	if op.Progress.Done != op.Progress.Total || op.Progress.Total == 0 {
		t.Errorf("progress at the end: got %+v", op.Progress)
	}

	d, err := r.Service.Deployment(r.ctx, in.Name)
	if err != nil {
		t.Fatalf("read deployment: %v", err)
	}
	if d.Name != in.Name || d.Locked || d.Tags["conformance"] != "yes" || d.Tags[deployer.TagKey] == "" {
		t.Errorf("deployment: got %+v", d)
	}
	if len(d.Instances) == 0 {
		t.Fatal("deployment has no instances")
	}
	for _, i := range d.Instances {
		if i.Group == "" || i.ID == "" || i.Address == "" {
			t.Errorf("instance: got %+v", i)
		}
	}
	if l := r.listed(in.Name); l == nil || l.Tags["conformance"] != "yes" {
		t.Errorf("listed: got %+v", l)
	}

	id := newID()
	if op := r.delete(in.Name, id); op.State != deployer.Succeeded {
		t.Fatalf("delete: got %+v", op)
	}
	_, err = r.Service.Deployment(r.ctx, in.Name)
	r.wantKind("read a deleted deployment", err, fault.NotFound)
	if l := r.listed(in.Name); l != nil {
		t.Errorf("a deleted deployment is listed: %+v", l)
	}
	if op, err := r.Service.Operation(r.ctx, in.Name, id); err != nil || op.State != deployer.Succeeded {
		t.Errorf("delete's operation: got %+v, %v", op, err)
	}
}

func testRepeat(t *testing.T, f Fixture) {
	r := newRun(t, f)
	in := r.request()
	first := r.mustDeploy(in)
	for _, call := range []func() (deployer.Operation, error){
		func() (deployer.Operation, error) { return r.Service.Deploy(r.ctx, in) },
		func() (deployer.Operation, error) { return r.Service.Operation(r.ctx, in.Name, in.OperationID) },
	} {
		op, err := call()
		if err != nil || op != first {
			t.Errorf("got %+v, %v, want %+v", op, err, first)
		}
	}
}

func testConcurrent(t *testing.T, f Fixture) {
	r := newRun(t, f)
	in := r.request()
	var calls sync.WaitGroup
	operations := make([]deployer.Operation, 8)
	for i := range operations {
		calls.Go(func() {
			op, err := r.Service.Deploy(r.ctx, in)
			if err != nil {
				t.Errorf("deploy: %v", err)
			}
			operations[i] = op
		})
	}
	calls.Wait()
	last := r.mustDeploy(in)
	for _, op := range operations {
		if op.TaskID != last.TaskID {
			t.Errorf("got task %d and task %d for one operation", op.TaskID, last.TaskID)
		}
	}
}

func testUpdate(t *testing.T, f Fixture) {
	r := newRun(t, f)
	in := r.request()
	r.mustDeploy(in)
	before, err := r.Service.Deployment(r.ctx, in.Name)
	if err != nil {
		t.Fatal(err)
	}
	in.OperationID = newID()
	in.Tags = map[string]string{"conformance": "updated"}
	r.mustDeploy(in)
	after, err := r.Service.Deployment(r.ctx, in.Name)
	if err != nil {
		t.Fatal(err)
	}
	if after.Tags["conformance"] != "updated" {
		t.Errorf("tags: got %v", after.Tags)
	}
	if len(after.Instances) != len(before.Instances) || after.Instances[0] != before.Instances[0] {
		t.Errorf("instances: got %+v, want %+v", after.Instances, before.Instances)
	}
}

func testWaiting(t *testing.T, f Fixture) {
	r := newRun(t, f)
	in := r.request()
	first, err := r.Service.Deploy(r.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if first.State.Ended() {
		t.Fatalf("the deploy is over at once: %+v", first)
	}
	next := in
	next.OperationID = newID()
	op, err := r.Service.Deploy(r.ctx, next)
	if err != nil {
		t.Fatal(err)
	}
	if op.State == deployer.Waiting && (op.TaskID != 0 || op.Progress.Message == "") {
		t.Errorf("waiting: got %+v", op)
	}
	if done := r.mustDeploy(next); done.TaskID <= first.TaskID {
		t.Errorf("tasks: got %d after %d", done.TaskID, first.TaskID)
	}
	if op, err := r.Service.Operation(r.ctx, in.Name, in.OperationID); err != nil || op.State != deployer.Succeeded {
		t.Errorf("first operation: got %+v, %v", op, err)
	}
}

func testDeleteNothing(t *testing.T, f Fixture) {
	r := newRun(t, f)
	op, err := r.Service.Delete(r.ctx, "conformance-nothing", newID())
	if err != nil || op.State != deployer.Succeeded {
		t.Errorf("got %+v, %v, want it succeeded at once", op, err)
	}
}

func testRepeatDelete(t *testing.T, f Fixture) {
	r := newRun(t, f)
	in := r.request()
	r.mustDeploy(in)
	id := newID()
	first := r.delete(in.Name, id)
	in.OperationID = newID()
	again := r.mustDeploy(in) // made anew under the same name
	op, err := r.Service.Delete(r.ctx, in.Name, id)
	if err != nil || op.State != deployer.Succeeded || op.TaskID != first.TaskID {
		t.Errorf("the old delete, repeated: got %+v, %v, want %+v", op, err, first)
	}
	if op, err := r.Service.Operation(r.ctx, in.Name, in.OperationID); err != nil || op.TaskID != again.TaskID {
		t.Errorf("the new deployment's operation: got %+v, %v", op, err)
	}
	if _, err := r.Service.Deployment(r.ctx, in.Name); err != nil {
		t.Errorf("the old delete has deleted the new deployment: %v", err)
	}
}

func testDeleteDuringDeploy(t *testing.T, f Fixture) {
	r := newRun(t, f)
	in := r.request()
	if _, err := r.Service.Deploy(r.ctx, in); err != nil {
		t.Fatal(err)
	}
	if op := r.delete(in.Name, newID()); op.State != deployer.Succeeded {
		t.Fatalf("delete: got %+v", op)
	}
	op := r.follow("the deploy", func(ctx context.Context) (deployer.Operation, error) {
		return r.Service.Operation(ctx, in.Name, in.OperationID)
	})
	if op.State != deployer.Failed || op.Error == "" {
		t.Errorf("the deploy: got %+v, want it failed with a reason", op)
	}
	_, err := r.Service.Deployment(r.ctx, in.Name)
	r.wantKind("read the deleted deployment", err, fault.NotFound)
	if again, err := r.Service.Deploy(r.ctx, in); err != nil || again.State != deployer.Failed {
		t.Errorf("the deploy, repeated: got %+v, %v, want it failed as before", again, err)
	}
}
