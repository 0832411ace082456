package operation_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/broker/brokertest"
	"github.com/holdfast-osb/holdfast/broker/operation"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
	"github.com/holdfast-osb/holdfast/store"
	"github.com/holdfast-osb/holdfast/store/sqlite"
)

const lease = 400 * time.Millisecond

// process is a broker process that can be killed at its n-th event: before or
// after a write to the store, before or after a call's effect. Once it is dead
// nothing that it does has an effect.
type process struct {
	store.Store
	at     int64
	events atomic.Int64
	died   chan struct{}
	once   sync.Once
}

var errKilled = errors.New("the process is dead")

func newProcess(s store.Store, at int) *process {
	return &process{Store: s, at: int64(at), died: make(chan struct{})}
}

func (p *process) dead() bool {
	select {
	case <-p.died:
		return true
	default:
		return false
	}
}

func (p *process) kill() { p.once.Do(func() { close(p.died) }) }

func (p *process) event() error {
	if !p.dead() && p.events.Add(1) == p.at {
		p.kill()
	}
	if p.dead() {
		return errKilled
	}
	return nil
}

func (p *process) write(f func() error) error {
	if err := p.event(); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return p.event()
}

func (p *process) Claim(ctx context.Context, owner string, l time.Duration) (op store.Operation, err error) {
	if p.dead() {
		return op, errKilled
	}
	if op, err = p.Store.Claim(ctx, owner, l); err == nil {
		err = p.event()
	}
	return op, err
}

func (p *process) SaveOperation(ctx context.Context, op *store.Operation, in *store.Instance) error {
	return p.write(func() error { return p.Store.SaveOperation(ctx, op, in) })
}

func (p *process) DeleteBinding(ctx context.Context, instanceID, id string) error {
	return p.write(func() error { return p.Store.DeleteBinding(ctx, instanceID, id) })
}

func (p *process) Extend(ctx context.Context, owner string, l time.Duration) ([]string, error) {
	if p.dead() {
		return nil, errKilled
	}
	return p.Store.Extend(ctx, owner, l)
}

func (p *process) Release(ctx context.Context, id, owner string) error {
	if p.dead() {
		return errKilled
	}
	return p.Store.Release(ctx, id, owner)
}

func (p *process) Instance(ctx context.Context, id string) (store.Instance, error) {
	if p.dead() {
		return store.Instance{}, errKilled
	}
	return p.Store.Instance(ctx, id)
}

func (p *process) ListBindings(ctx context.Context, id string) ([]store.Binding, error) {
	if p.dead() {
		return nil, errKilled
	}
	return p.Store.ListBindings(ctx, id)
}

type processKey struct{}

// hook makes a call an event of the process that makes it.
func hook(ctx context.Context, _, _ string) error {
	if p, ok := ctx.Value(processKey{}).(*process); ok {
		if err := p.event(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

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

// I1, I2: a process killed at any of its steps leaves a row that the next one
// brings to its end, with exactly one deployment.
func TestKilledAtEveryStep(t *testing.T) {
	for name, c := range map[string]struct {
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
	} {
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

// cutOff is a store that a process cannot reach any more.
type cutOff struct {
	store.Store
	off atomic.Bool
}

func (c *cutOff) away() error {
	if c.off.Load() {
		return fault.New(fault.Unavailable, "the store is away")
	}
	return nil
}

func (c *cutOff) Extend(ctx context.Context, owner string, l time.Duration) ([]string, error) {
	if err := c.away(); err != nil {
		return nil, err
	}
	return c.Store.Extend(ctx, owner, l)
}

func (c *cutOff) Claim(ctx context.Context, owner string, l time.Duration) (store.Operation, error) {
	if err := c.away(); err != nil {
		return store.Operation{}, err
	}
	return c.Store.Claim(ctx, owner, l)
}

func (c *cutOff) Release(ctx context.Context, id, owner string) error {
	if err := c.away(); err != nil {
		return err
	}
	return c.Store.Release(ctx, id, owner)
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
