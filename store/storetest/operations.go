package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

func operationRoundTrip(t *testing.T, f *fixture) {
	_, err := f.Operation(f.ctx, "create-i1")
	wantKind(t, "Operation of nothing", err, fault.NotFound, nil)
	_, err = f.LatestOperation(f.ctx, "i1")
	wantKind(t, "LatestOperation of nothing", err, fault.NotFound, nil)
	f.create(t, "i1")
	op := f.claim(t, "w")
	p := prepared()
	op.State, op.Message, op.Done, op.Total, op.Submission = store.Deploying, "boiling", 3, 9, 2
	op.Reference, op.Usable, op.Repeatable = "REF", true, true
	op.StateSince, op.TroubleSince = f.clock.Now().Add(time.Second), f.clock.Now().Add(2*time.Second)
	op.Private.Prepared = &p
	if err := f.SaveOperation(f.ctx, &op, nil); err != nil {
		t.Fatalf("SaveOperation: %v", err)
	}
	got, err := f.open().Operation(f.ctx, op.ID)
	if err != nil {
		t.Fatalf("Operation on another handle: %v", err)
	}
	same(t, "prepared", *got.Private.Prepared, p)
	same(t, "secrets", got.Private.Prepared.Secrets.Reveal(), p.Secrets.Reveal())
	got.Private.Prepared, op.Private.Prepared = nil, nil
	got.UpdatedAt = op.UpdatedAt
	same(t, "operation", got, op)
}

func oneUnfinishedOperation(t *testing.T, f *fixture) {
	in, _ := f.create(t, "i1")
	_, err := f.StartOperation(f.ctx, operation("update-1", "i1", store.Update), in)
	wantKind(t, "an update during a create", err, fault.Conflict, store.ErrBusy)
	if _, err := f.StartOperation(f.ctx, operation("delete-1", "i1", store.Delete), in); err != nil {
		t.Fatalf("a delete during a create: %v", err)
	}
	_, err = f.StartOperation(f.ctx, operation("delete-2", "i1", store.Delete), f.instance(t, "i1"))
	wantKind(t, "a delete during a delete", err, fault.Conflict, store.ErrBusy)
	_, err = f.StartOperation(f.ctx, operation("delete-3", "i9", store.Delete), in)
	wantKind(t, "an operation on nothing", err, fault.NotFound, nil)
}

func startOnChangedInstance(t *testing.T, f *fixture) {
	read := f.ready(t, "i1")
	changed := read
	changed.Nodes = []store.Node{{Name: "node/0"}}
	if err := f.SaveNodes(f.ctx, changed); err != nil {
		t.Fatal(err)
	}
	_, err := f.StartOperation(f.ctx, operation("update-1", "i1", store.Update), read)
	wantKind(t, "an update on an instance that changed", err, fault.Conflict, store.ErrStale)
	if _, err := f.StartOperation(f.ctx, operation("delete-1", "i1", store.Delete), read); err != nil {
		t.Errorf("a delete on an instance that changed: %v", err)
	}
}

func startRacesHaveOneWinner(t *testing.T, f *fixture) {
	in := f.ready(t, "i1")
	handles := []store.Store{f.Store, f.open()}
	const n = 16
	won := race(n, func(i int) bool {
		_, err := handles[i%2].StartOperation(f.ctx, operation(fmt.Sprintf("update-%d", i), "i1", store.Update), in)
		if err != nil {
			wantKind(t, "a loser", err, fault.Conflict, store.ErrBusy)
		}
		return err == nil
	})
	if won != 1 {
		t.Errorf("%d of %d starts won, want 1", won, n)
	}
	won = race(n, func(i int) bool {
		err := handles[i%2].CreateInstance(f.ctx, instance("i2"), operation(fmt.Sprintf("create-i2-%d", i), "i2", store.Create))
		if err != nil {
			wantKind(t, "a loser", err, fault.Conflict, store.ErrExists)
		}
		return err == nil
	})
	if won != 1 {
		t.Errorf("%d of %d creations won, want 1", won, n)
	}
}

// race runs f n times at once and counts how often it was true.
func race(n int, f func(i int) bool) int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := 0
	for i := range n {
		wg.Go(func() {
			if f(i) {
				mu.Lock()
				defer mu.Unlock()
				count++
			}
		})
	}
	wg.Wait()
	return count
}

func deleteSupersedes(t *testing.T, f *fixture) {
	in, _ := f.create(t, "i1")
	held := f.claim(t, "w")
	superseded, err := f.StartOperation(f.ctx, operation("delete-1", "i1", store.Delete), in)
	if err != nil || superseded != "create-i1" {
		t.Fatalf("StartOperation: got %q, %v; want create-i1 superseded", superseded, err)
	}
	if got := f.operation(t, "create-i1"); got.State != store.Failed || got.EndedAt.IsZero() || got.LeaseOwner != "w" {
		t.Errorf("the superseded create: got %s, ended %v, held by %q", got.State, got.EndedAt, got.LeaseOwner)
	}
	if got := f.instance(t, "i1"); got.State != store.Broken {
		t.Errorf("the instance: got %s, want broken", got.State)
	}
	held.State = store.Deploying
	wantKind(t, "its worker's next save", f.SaveOperation(f.ctx, &held, nil), fault.Conflict, store.ErrStale)

	ready := f.ready2(t, "i2")
	if superseded, err = f.StartOperation(f.ctx, operation("update-2", "i2", store.Update), ready); err != nil || superseded != "" {
		t.Fatalf("an update supersedes %q, %v", superseded, err)
	}
	if superseded, err = f.StartOperation(f.ctx, operation("delete-2", "i2", store.Delete), ready); err != nil || superseded != "update-2" {
		t.Fatalf("a delete during an update: got %q, %v", superseded, err)
	}
	if got := f.instance(t, "i2"); got.State != store.Ready {
		t.Errorf("an instance whose update was superseded: got %s, want ready until the delete begins", got.State)
	}
}

// ready2 readies a second instance while others' operations may be claimable.
func (f *fixture) ready2(t *testing.T, id string) store.Instance {
	t.Helper()
	f.create(t, id)
	for {
		op := f.claim(t, "w-"+id)
		if op.InstanceID != id {
			continue
		}
		in := f.instance(t, id)
		in.State, op.State = store.Ready, store.Succeeded
		if err := f.SaveOperation(f.ctx, &op, &in); err != nil {
			t.Fatal(err)
		}
		return in
	}
}

func deleteWaitsForTheLease(t *testing.T, f *fixture) {
	in, _ := f.create(t, "i1")
	f.claim(t, "w")
	if _, err := f.StartOperation(f.ctx, operation("delete-1", "i1", store.Delete), in); err != nil {
		t.Fatal(err)
	}
	held, superseded, err := f.Extend(f.ctx, "w", []string{"create-i1"}, lease)
	if err != nil || len(held) != 0 || len(superseded) != 1 {
		t.Errorf("Extend of what was superseded: got %v, %v, %v", held, superseded, err)
	}
	_, err = f.Claim(f.ctx, "x", lease)
	wantKind(t, "a delete while the create's worker holds it", err, fault.NotFound, nil)
	if err := f.Release(f.ctx, "create-i1", "w"); err != nil {
		t.Fatal(err)
	}
	if got := f.claim(t, "x"); got.ID != "delete-1" {
		t.Errorf("after the release: got %s, want delete-1", got.ID)
	}

	in2, _ := f.create(t, "i2")
	f.claim(t, "w")
	if _, err := f.StartOperation(f.ctx, operation("delete-2", "i2", store.Delete), in2); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(lease + time.Second)
	held, superseded, err = f.Extend(f.ctx, "x", []string{"delete-1"}, lease) // delete-1 stays with x
	if err != nil || len(held) != 1 || len(superseded) != 0 {
		t.Fatalf("Extend: got %v, %v, %v", held, superseded, err)
	}
	if got := f.claim(t, "y"); got.ID != "delete-2" {
		t.Errorf("after the lease expired: got %s, want delete-2", got.ID)
	}
}

func saveOperationIsCompareAndSwap(t *testing.T, f *fixture) {
	f.create(t, "i1")
	op := f.claim(t, "w")
	first, second := op, op
	first.State = store.Preparing
	if err := f.SaveOperation(f.ctx, &first, nil); err != nil {
		t.Fatal(err)
	}
	second.State = store.Preparing
	wantKind(t, "a save over a newer row", f.SaveOperation(f.ctx, &second, nil), fault.Conflict, store.ErrStale)
	first.State = store.Deploying
	if err := f.SaveOperation(f.ctx, &first, nil); err != nil {
		t.Errorf("the next save of the same holder: %v", err)
	}
	stranger := first
	stranger.LeaseOwner = "x"
	wantKind(t, "a save without the lease", f.SaveOperation(f.ctx, &stranger, nil), fault.Conflict, store.ErrStale)
	first.State = store.Succeeded
	if err := f.SaveOperation(f.ctx, &first, nil); err != nil {
		t.Fatal(err)
	}
	got := f.operation(t, op.ID)
	if got.LeaseOwner != "" || !got.EndedAt.Equal(f.clock.Now()) || got.Private.Parameters != nil {
		t.Errorf("an ended operation: held by %q, ended %v, parameters %s", got.LeaseOwner, got.EndedAt, got.Private.Parameters)
	}
	first.State = store.Failed
	first.LeaseOwner = ""
	wantKind(t, "a save of an ended operation", f.SaveOperation(f.ctx, &first, nil), fault.Conflict, store.ErrStale)
}

func saveInstanceWithOperation(t *testing.T, f *fixture) {
	f.create(t, "i1")
	op := f.claim(t, "w")
	old := f.instance(t, "i1")
	changed := old
	changed.Nodes = []store.Node{{Name: "node/0"}}
	if err := f.SaveNodes(f.ctx, changed); err != nil {
		t.Fatal(err)
	}
	op.State, old.State = store.Succeeded, store.Ready
	wantKind(t, "a save with an old instance", f.SaveOperation(f.ctx, &op, &old), fault.Conflict, store.ErrStale)
	if got := f.operation(t, op.ID); got.State != store.Queued {
		t.Errorf("half of a refused save was written: the operation is %s", got.State)
	}
	now := f.instance(t, "i1")
	now.State = store.Ready
	if err := f.SaveOperation(f.ctx, &op, &now); err != nil {
		t.Fatal(err)
	}
	if got := f.instance(t, "i1"); got.State != store.Ready || got.Version != now.Version {
		t.Errorf("got %s version %d, want ready version %d", got.State, got.Version, now.Version)
	}
}

func countOperations(t *testing.T, f *fixture) {
	f.ready(t, "i1")
	f.create(t, "i2")
	f.create(t, "i3")
	counts, err := f.CountOperations(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "counts", counts, map[store.Kind]map[store.State]int{store.Create: {store.Succeeded: 1, store.Queued: 2}})
}
