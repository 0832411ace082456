package storetest

import (
	"encoding/json"
	"testing"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

func binding(instanceID, id string) store.Binding {
	return store.Binding{ID: id, InstanceID: instanceID, State: store.BindingCreating, ServiceID: "service-1", PlanID: "plan-1", AppGUID: "app-1",
		Private: store.BindingPrivate{Parameters: json.RawMessage(`{"cups":2}`), Context: json.RawMessage(`{}`)}}
}

func bindingLife(t *testing.T, f *fixture) {
	f.ready(t, "i1")
	_, err := f.Binding(f.ctx, "i1", "b1")
	wantKind(t, "Binding of nothing", err, fault.NotFound, nil)
	for _, id := range []string{"b2", "b1"} {
		if err := f.CreateBinding(f.ctx, binding("i1", id)); err != nil {
			t.Fatalf("CreateBinding: %v", err)
		}
	}
	wantKind(t, "CreateBinding twice", f.CreateBinding(f.ctx, binding("i1", "b1")), fault.Conflict, store.ErrExists)
	b, err := f.Binding(f.ctx, "i1", "b1")
	if err != nil {
		t.Fatal(err)
	}
	if b.State != store.BindingCreating || b.AppGUID != "app-1" || string(b.Private.Parameters) != `{"cups":2}` {
		t.Errorf("got %+v", b)
	}
	other := b
	b.State = store.BindingReady
	if err := f.SaveBinding(f.ctx, &b); err != nil {
		t.Fatalf("SaveBinding: %v", err)
	}
	wantKind(t, "SaveBinding of an old version", f.SaveBinding(f.ctx, &other), fault.Conflict, store.ErrStale)
	b.State = store.BindingDeleting
	if err := f.SaveBinding(f.ctx, &b); err != nil {
		t.Errorf("SaveBinding again: %v", err)
	}
	list, err := f.ListBindings(f.ctx, "i1")
	if err != nil || len(list) != 2 || list[0].ID != "b1" || list[1].ID != "b2" {
		t.Errorf("ListBindings: got %v, %v", list, err)
	}
	for range 2 {
		if err := f.DeleteBinding(f.ctx, "i1", "b1"); err != nil {
			t.Errorf("DeleteBinding: %v", err)
		}
	}
	wantKind(t, "SaveBinding of what was deleted", f.SaveBinding(f.ctx, &b), fault.Conflict, store.ErrStale)
}

func bindingNeedsReadyInstance(t *testing.T, f *fixture) {
	wantKind(t, "a binding of nothing", f.CreateBinding(f.ctx, binding("i1", "b1")), fault.NotFound, nil)
	f.create(t, "i1")
	wantKind(t, "a binding during the creation", f.CreateBinding(f.ctx, binding("i1", "b1")), fault.Conflict, store.ErrBusy)
	op := f.claim(t, "w")
	in := f.instance(t, "i1")
	in.State, op.State = store.Broken, store.Failed
	if err := f.SaveOperation(f.ctx, &op, &in); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "a binding of a broken instance", f.CreateBinding(f.ctx, binding("i1", "b1")), fault.Conflict, store.ErrBusy)
	in = f.ready(t, "i2")
	if _, err := f.StartOperation(f.ctx, operation("update-2", "i2", store.Update), in); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "a binding during an update", f.CreateBinding(f.ctx, binding("i2", "b1")), fault.Conflict, store.ErrBusy)
}
