package operation_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/broker/brokertest"
	"github.com/holdfast-osb/holdfast/broker/operation"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
	"github.com/holdfast-osb/holdfast/store"
	"github.com/holdfast-osb/holdfast/store/sqlite"
)

// world is what outlives processes.
type world struct {
	t        *testing.T
	store    store.Store
	kettles  *brokertest.Kettles
	director *brokertest.Director
	owners   atomic.Int64
	skipped  atomic.Int64 // time that was skipped, ns
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, kettles: brokertest.NewKettles(brokertest.KettleCatalog()), director: brokertest.NewDirector(time.Millisecond)}
	ring, err := store.NewKeyring([]store.Key{{ID: "k1", Value: secret.New(store.NewKey())}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "broker.db"), ring, sqlite.Options{Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w.store = s
	w.kettles.Before(hook)
	w.kettles.After(hook)
	w.director.Before(hook)
	w.director.After(hook)
	return w
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.skipped.Load())) }

// run runs a worker in a process until the process dies or stop is called.
func (w *world) run(p *process) (stop func()) {
	worker := operation.New(operation.Config{
		Owner: fmt.Sprintf("worker-%d", w.owners.Add(1)), Lease: lease, Idle: 5 * time.Millisecond, CallTimeout: 5 * time.Second, Grace: time.Second,
		Parallel: 10, Limits: operation.DefaultLimits(), Now: w.now, Ended: func(store.Operation) {},
	}, p, map[string]spi.Service{"kettles": w.kettles}, w.director, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), processKey{}, p))
	done := make(chan struct{})
	go func() {
		defer close(done)
		worker.Run(ctx)
	}()
	go func() {
		select {
		case <-p.died:
			cancel()
		case <-done:
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (w *world) eventually(what string, is func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not in time", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (w *world) operation(id string) store.Operation {
	w.t.Helper()
	op, err := w.store.Operation(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return op
}

func (w *world) instance(id string) store.Instance {
	w.t.Helper()
	in, err := w.store.Instance(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return in
}

func (w *world) create(id string) string {
	w.t.Helper()
	in := store.Instance{ID: id, State: store.Creating, Provider: "kettles", ServiceID: brokertest.KettleService, PlanID: brokertest.KettleSmall, Deployment: "kettle-" + id,
		Private: store.InstancePrivate{Parameters: []byte(`{"litres":2}`)}}
	op := store.Operation{ID: "create-" + id, InstanceID: id, Kind: store.Create, State: store.Queued, PlanID: in.PlanID, Private: store.OperationPrivate{Parameters: in.Private.Parameters}}
	if err := w.store.CreateInstance(context.Background(), in, op); err != nil {
		w.t.Fatal(err)
	}
	return op.ID
}

func (w *world) start(kind store.Kind, id string) string {
	w.t.Helper()
	op := store.Operation{ID: string(kind) + "-" + id, InstanceID: id, Kind: kind, State: store.Queued, PlanID: brokertest.KettleLarge, Private: store.OperationPrivate{Parameters: []byte(`{"litres":9}`)}}
	if _, err := w.store.StartOperation(context.Background(), op, w.instance(id)); err != nil {
		w.t.Fatal(err)
	}
	return op.ID
}

// finish lets a process work until the operation has ended.
func (w *world) finish(p *process, id string) {
	w.t.Helper()
	stop := w.run(p)
	defer stop()
	w.eventually("operation "+id+" ends", func() bool { return w.operation(id).State.Ended() || p.dead() })
}

// consistent checks an instance that should be usable: one deployment, made of
// what the store remembers, configured with the same secret.
func (w *world) consistent(id string, litres string, deploys int) {
	w.t.Helper()
	in := w.instance(id)
	root := in.Private.Prepared.Secrets["root"].Reveal()
	deployed, ok := w.director.Deployed(in.Deployment)
	if in.State != store.Ready || !ok || root == "" || deployed.SecretAttributes["verifier"].Reveal() != "v-"+root || fmt.Sprint(deployed.Attributes["litres"]) != litres {
		w.t.Errorf("instance %s is %s, deployed %t with litres %v and a secret that fits: %t", id, in.State, ok, deployed.Attributes["litres"], deployed.SecretAttributes["verifier"].Reveal() == "v-"+root)
	}
	if configured, ok := w.kettles.Configured(id); !ok || configured.Secrets["root"].Reveal() != root || fmt.Sprint(configured.Attributes["litres"]) != litres {
		w.t.Errorf("configured: %t with litres %v", ok, configured.Attributes["litres"])
	}
	if tasks := w.director.Tasks(in.Deployment); len(tasks) != deploys {
		w.t.Errorf("%d tasks, want %d: %+v", len(tasks), deploys, tasks)
	}
	if len(in.Nodes) != 1 {
		w.t.Errorf("nodes %v", in.Nodes)
	}
}
