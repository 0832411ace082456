package storetest

import (
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

func instanceRoundTrip(t *testing.T, f *fixture) {
	_, err := f.Instance(f.ctx, "i1")
	wantKind(t, "Instance of nothing", err, fault.NotFound, nil)
	f.create(t, "i1")
	op := f.claim(t, "w")
	in := f.instance(t, "i1")
	in.State, in.PlanID, in.Maintenance = store.Ready, "plan-2", "2.0.0"
	in.Nodes = []store.Node{{Name: "node/0", Index: 0, Address: "10.0.0.1"}}
	in.Private.Prepared = prepared()
	f.clock.Advance(time.Minute)
	if err := f.SaveOperation(f.ctx, &op, &in); err != nil {
		t.Fatalf("SaveOperation: %v", err)
	}
	got, err := f.open().Instance(f.ctx, "i1")
	if err != nil {
		t.Fatalf("Instance on another handle: %v", err)
	}
	if got.Version != 2 || !got.UpdatedAt.After(got.CreatedAt) {
		t.Errorf("got version %d, created %v, updated %v", got.Version, got.CreatedAt, got.UpdatedAt)
	}
	got.UpdatedAt = in.UpdatedAt
	same(t, "instance", got, in)
	same(t, "secrets", got.Private.Prepared.Secrets.Reveal(), map[string]string{"root": "r00t"})
	same(t, "secret attributes", got.Private.Prepared.SecretAttributes.Reveal(), map[string]string{"token": "t0ken"})
	if n, ok := got.Private.Prepared.Attributes["litres"].(int64); !ok || n != 9007199254740993 {
		t.Errorf("a large integer came back as %#v", got.Private.Prepared.Attributes["litres"])
	}
}

func instanceExists(t *testing.T, f *fixture) {
	f.create(t, "i1")
	err := f.CreateInstance(f.ctx, instance("i1"), operation("create-again", "i1", store.Create))
	wantKind(t, "CreateInstance twice", err, fault.Conflict, store.ErrExists)
	_, err = f.Operation(f.ctx, "create-again")
	wantKind(t, "the operation of the refused instance", err, fault.NotFound, nil)
}

func (f *fixture) remove(t *testing.T, id string) {
	t.Helper()
	if _, err := f.StartOperation(f.ctx, operation("delete-"+id, id, store.Delete), f.instance(t, id)); err != nil {
		t.Fatalf("StartOperation: %v", err)
	}
	op := f.claim(t, "remover")
	in := f.instance(t, id)
	in.State, op.State = store.Gone, store.Succeeded
	if err := f.SaveOperation(f.ctx, &op, &in); err != nil {
		t.Fatalf("SaveOperation: %v", err)
	}
}

func tombstoneMakesRoom(t *testing.T, f *fixture) {
	f.ready(t, "i1")
	f.remove(t, "i1")
	if got := f.instance(t, "i1"); got.State != store.Gone {
		t.Fatalf("got %s, want a tombstone", got.State)
	}
	again := operation("create-i1-again", "i1", store.Create)
	if err := f.CreateInstance(f.ctx, instance("i1"), again); err != nil {
		t.Fatalf("CreateInstance over a tombstone: %v", err)
	}
	if got := f.instance(t, "i1"); got.State != store.Creating || got.Version != 1 {
		t.Errorf("got %s version %d, want a new row", got.State, got.Version)
	}
	latest, err := f.LatestOperation(f.ctx, "i1")
	if err != nil || latest.ID != again.ID {
		t.Errorf("LatestOperation: got %s, %v", latest.ID, err)
	}
}

func deploymentNamesAreUnique(t *testing.T, f *fixture) {
	f.ready(t, "i1")
	other := instance("i2")
	other.Deployment = "kettle-i1"
	err := f.CreateInstance(f.ctx, other, operation("create-i2", "i2", store.Create))
	wantKind(t, "a deployment's name twice", err, fault.Conflict, store.ErrExists)
	names, err := f.Deployments(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "Deployments", names, map[string]string{"kettle-i1": "i1"})
	f.remove(t, "i1")
	if err := f.CreateInstance(f.ctx, other, operation("create-i2", "i2", store.Create)); err != nil {
		t.Errorf("the name of a deployment that is gone: %v", err)
	}
}

func saveNodes(t *testing.T, f *fixture) {
	in := f.ready(t, "i1")
	in.Nodes = []store.Node{{Name: "node/0", Address: "10.0.0.9"}}
	if err := f.SaveNodes(f.ctx, in); err != nil {
		t.Fatalf("SaveNodes: %v", err)
	}
	same(t, "nodes", f.instance(t, "i1").Nodes, in.Nodes)
	wantKind(t, "SaveNodes of an old version", f.SaveNodes(f.ctx, in), fault.Conflict, store.ErrStale)
}

func goneForgets(t *testing.T, f *fixture) {
	f.ready(t, "i1")
	if err := f.CreateBinding(f.ctx, binding("i1", "b1")); err != nil {
		t.Fatal(err)
	}
	f.remove(t, "i1")
	in := f.instance(t, "i1")
	if in.Private.Parameters != nil || in.Private.Context != nil {
		t.Errorf("a tombstone keeps private parts: %s %s", in.Private.Parameters, in.Private.Context)
	}
	_, err := f.Binding(f.ctx, "i1", "b1")
	wantKind(t, "a binding of an instance that is gone", err, fault.NotFound, nil)
	_, err = f.StartOperation(f.ctx, operation("update-i1", "i1", store.Update), in)
	wantKind(t, "an operation on an instance that is gone", err, fault.NotFound, nil)
}

func ping(t *testing.T, f *fixture) {
	if err := f.Ping(f.ctx); err != nil {
		t.Errorf("Ping: %v", err)
	}
}

func purge(t *testing.T, f *fixture) {
	f.ready(t, "dead")
	f.remove(t, "dead")
	f.ready(t, "alive")
	in := f.instance(t, "alive")
	if _, err := f.StartOperation(f.ctx, operation("update-1", "alive", store.Update), in); err != nil {
		t.Fatal(err)
	}
	op := f.claim(t, "w")
	op.State = store.Failed
	if err := f.SaveOperation(f.ctx, &op, nil); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(time.Hour)
	if instances, operations, err := f.Purge(f.ctx, f.clock.Now().Add(-2*time.Hour)); instances != 0 || operations != 0 || err != nil {
		t.Errorf("Purge of what is young: got %d, %d, %v", instances, operations, err)
	}
	instances, operations, err := f.Purge(f.ctx, f.clock.Now())
	if instances != 1 || operations != 2 || err != nil { // the creations of both
		t.Errorf("Purge: got %d, %d, %v; want 1 and 2", instances, operations, err)
	}
	_, err = f.Instance(f.ctx, "dead")
	wantKind(t, "a purged instance", err, fault.NotFound, nil)
	_, err = f.Operation(f.ctx, "delete-dead")
	wantKind(t, "its last operation", err, fault.NotFound, nil)
	if latest, err := f.LatestOperation(f.ctx, "alive"); err != nil || latest.ID != "update-1" {
		t.Errorf("the latest operation of a living instance: got %s, %v", latest.ID, err)
	}
}
