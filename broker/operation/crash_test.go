package operation_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/broker/brokertest"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

// lives are the operations that are killed, and what must hold afterwards.
var lives = map[string]struct {
	prepare func(w *world) (operation string)
	check   func(w *world)
}{
	"create": {
		func(w *world) string { return w.create("i1") },
		func(w *world) { w.consistent("i1", "2", 1) },
	},
	"update": {
		func(w *world) string {
			w.finish(newProcess(w.store, 0), w.create("i1"))
			return w.start(store.Update, "i1")
		},
		func(w *world) {
			w.consistent("i1", "9", 2)
			if in := w.instance("i1"); in.PlanID != brokertest.KettleLarge {
				w.t.Errorf("plan %s", in.PlanID)
			}
		},
	},
	"delete": {
		func(w *world) string {
			w.finish(newProcess(w.store, 0), w.create("i1"))
			for _, b := range []string{"b1", "b2"} {
				if err := w.store.CreateBinding(context.Background(), store.Binding{ID: b, InstanceID: "i1", State: store.BindingReady}); err != nil {
					w.t.Fatal(err)
				}
			}
			return w.start(store.Delete, "i1")
		},
		func(w *world) {
			if in := w.instance("i1"); in.State != store.Gone || len(w.director.Names())+len(w.kettles.Left()) > 0 {
				w.t.Errorf("instance %s, left %v %v", in.State, w.director.Names(), w.kettles.Left())
			}
		},
	},
}

// I1, I2: a process killed at any of its steps leaves a row that the next one
// brings to its end, with exactly one deployment.
func TestKilledAtEveryStep(t *testing.T) {
	for name, c := range lives {
		t.Run(name, func(t *testing.T) {
			points := 0
			for at := 1; ; at++ {
				w := newWorld(t)
				id := c.prepare(w)
				victim := newProcess(w.store, at)
				w.finish(victim, id)
				if !victim.dead() {
					break // it ended before its at-th event
				}
				points++
				w.skipped.Add(int64(lease)) // until the dead one's lease has run out
				w.finish(newProcess(w.store, 0), id)
				if op := w.operation(id); op.State != store.Succeeded {
					t.Fatalf("killed at event %d: the operation is %s: %s", at, op.State, op.Message)
				}
				if c.check(w); t.Failed() {
					t.Fatalf("killed at event %d", at)
				}
			}
			t.Logf("killed at each of %d events", points)
			if points < 10 {
				t.Errorf("only %d events: the test does not see them", points)
			}
		})
	}
}

// Several brokers share a store, and any of them dies at any time.
func TestSeveralWorkersAreKilledAtRandom(t *testing.T) {
	w := newWorld(t)
	w.director.Takes(20 * time.Millisecond)
	random := rand.New(rand.NewPCG(7, 7))
	const n = 12
	var ids []string
	for i := range n {
		ids = append(ids, w.create(fmt.Sprintf("i%d", i)))
	}
	ended := func() bool {
		for _, id := range ids {
			if !w.operation(id).State.Ended() {
				return false
			}
		}
		return true
	}
	killed := 0
	var stops []func()
	start := func() *process {
		p := newProcess(w.store, 1+random.IntN(60))
		stops = append(stops, w.run(p))
		return p
	}
	workers := []*process{start(), start(), start()}
	w.eventually("all operations end", func() bool {
		for i, p := range workers {
			if p.dead() {
				killed++
				workers[i] = start()
			}
		}
		return ended()
	})
	for _, stop := range stops {
		stop()
	}
	t.Logf("%d workers were killed", killed)
	if killed == 0 {
		t.Error("nobody was killed")
	}
	for i := range n {
		w.consistent(fmt.Sprintf("i%d", i), "2", 1)
	}
}

// A worker that cannot keep its lease stops before another takes over.
func TestLostLease(t *testing.T) {
	w := newWorld(t)
	id := w.create("i1")
	began, let := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.kettles.Before(func(ctx context.Context, call, _ string) error {
		first := false
		once.Do(func() { first = true })
		if !first {
			return ctx.Err()
		}
		close(began)
		select { // hangs, until the lease is lost
		case <-ctx.Done():
		case <-time.After(20 * time.Second):
			t.Error("the call goes on without a lease")
		}
		close(let)
		return fault.New(fault.Internal, "too late")
	})
	cut := &cutOff{Store: w.store}
	stopFirst := w.run(newProcess(cut, 0))
	defer stopFirst()
	<-began
	cut.off.Store(true)
	<-let
	w.finish(newProcess(w.store, 0), id)
	if op := w.operation(id); op.State != store.Succeeded {
		t.Fatalf("the operation is %s: %s", op.State, op.Message)
	}
	w.consistent("i1", "2", 1)
}

// A delete that came in through another process does not wait for the end of
// what it supersedes.
func TestSupersededElsewhere(t *testing.T) {
	w := newWorld(t)
	w.director.Takes(time.Hour)
	creating := w.create("i1")
	defer w.run(newProcess(w.store, 0))()
	w.eventually("the creation deploys", func() bool { return len(w.director.Tasks("kettle-i1")) == 1 })
	deleting := w.start(store.Delete, "i1")
	if op := w.operation(creating); op.State != store.Failed {
		t.Errorf("the creation is %s", op.State)
	}
	w.eventually("the deletion deletes", func() bool { return len(w.director.Tasks("kettle-i1")) == 2 })
	w.director.Takes(time.Millisecond)
	w.eventually("the deletion ends", func() bool { return w.operation(deleting).State == store.Succeeded })
	if left := w.kettles.Left(); len(left)+len(w.director.Names()) > 0 {
		t.Errorf("left: %v %v", left, w.director.Names())
	}
}

// A worker that is told to stop finishes its step and gives its lease back.
func TestStopGivesLeasesBack(t *testing.T) {
	w := newWorld(t)
	w.director.Takes(time.Hour)
	id := w.create("i1")
	stop := w.run(newProcess(w.store, 0))
	w.eventually("the operation deploys", func() bool { return w.operation(id).State == store.Deploying })
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > time.Second {
		t.Errorf("stopping took %s", took)
	}
	if op := w.operation(id); op.LeaseOwner != "" || op.State != store.Deploying {
		t.Errorf("after the stop: %s, held by %q", op.State, op.LeaseOwner)
	}
	w.director.Takes(time.Millisecond)
	w.finish(newProcess(w.store, 0), id)
	w.consistent("i1", "2", 1)
}

// A defect in one operation's work harms no other, and is not tried again
// without a pause.
func TestPanicInOneOperation(t *testing.T) {
	w := newWorld(t)
	var panics atomic.Int64
	w.kettles.Before(func(ctx context.Context, call, id string) error {
		if id == "bad" && call == "prepare" && panics.Add(1) <= 2 {
			panic("a defect")
		}
		return ctx.Err()
	})
	bad, good := w.create("bad"), w.create("good")
	stop := w.run(newProcess(w.store, 0))
	defer stop()
	w.eventually("the good one ends", func() bool { return w.operation(good).State == store.Succeeded })
	if n := panics.Load(); n != 1 {
		t.Errorf("%d tries at once, want a pause between them", n)
	}
	w.eventually("the bad one ends when the defect is gone", func() bool { return w.operation(bad).State == store.Succeeded })
	w.consistent("bad", "2", 1)
}
