package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/store"
)

// Clock is a clock that tests move.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// NewBackend makes an empty place for rows. Each call of open returns another
// handle on it, as another process would have; the test closes none of them.
type NewBackend func(t *testing.T, now func() time.Time) (open func() store.Store)

// Run runs the suite.
func Run(t *testing.T, backend NewBackend) {
	for name, test := range map[string]func(*testing.T, *fixture){
		"InstanceRoundTrip":             instanceRoundTrip,
		"InstanceExists":                instanceExists,
		"TombstoneMakesRoom":            tombstoneMakesRoom,
		"DeploymentNamesAreUnique":      deploymentNamesAreUnique,
		"SaveNodes":                     saveNodes,
		"OperationRoundTrip":            operationRoundTrip,
		"OneUnfinishedOperation":        oneUnfinishedOperation,
		"StartOnChangedInstance":        startOnChangedInstance,
		"StartRacesHaveOneWinner":       startRacesHaveOneWinner,
		"DeleteSupersedes":              deleteSupersedes,
		"DeleteWaitsForTheLease":        deleteWaitsForTheLease,
		"ClaimInOrder":                  claimInOrder,
		"ClaimRacesHaveOneWinner":       claimRacesHaveOneWinner,
		"LeaseExpires":                  leaseExpires,
		"ExtendAndRelease":              extendAndRelease,
		"SaveOperationIsCompareAndSwap": saveOperationIsCompareAndSwap,
		"SaveInstanceWithOperation":     saveInstanceWithOperation,
		"GoneForgets":                   goneForgets,
		"BindingLife":                   bindingLife,
		"BindingNeedsReadyInstance":     bindingNeedsReadyInstance,
		"CountOperations":               countOperations,
		"Purge":                         purge,
		"Ping":                          ping,
	} {
		t.Run(name, func(t *testing.T) {
			clock := &Clock{now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
			open := backend(t, clock.Now)
			test(t, &fixture{Store: open(), clock: clock, open: open, ctx: context.Background()})
		})
	}
}

type fixture struct {
	store.Store
	clock *Clock
	open  func() store.Store
	ctx   context.Context
}

const lease = 10 * time.Second

func instance(id string) store.Instance {
	return store.Instance{
		ID: id, State: store.Creating, Provider: "kettles", ServiceID: "service-1", PlanID: "plan-1", Deployment: "kettle-" + id,
		OrgGUID: "org-1", SpaceGUID: "space-1", Maintenance: "1.0.0",
		Private: store.InstancePrivate{Parameters: json.RawMessage(`{"a":1}`), Context: json.RawMessage(`{"platform":"x"}`)},
	}
}

func operation(id, instanceID string, kind store.Kind) store.Operation {
	return store.Operation{ID: id, InstanceID: instanceID, Kind: kind, State: store.Queued, PlanID: "plan-1", Message: "waiting",
		Private: store.OperationPrivate{Given: json.RawMessage(`{"a":1}`), Parameters: json.RawMessage(`{"a":1}`)}}
}

func (f *fixture) create(t *testing.T, id string) (store.Instance, store.Operation) {
	t.Helper()
	if err := f.CreateInstance(f.ctx, instance(id), operation("create-"+id, id, store.Create)); err != nil {
		t.Fatalf("CreateInstance: %v", err)
	}
	return f.instance(t, id), f.operation(t, "create-"+id)
}

// ready creates an instance and ends its creation.
func (f *fixture) ready(t *testing.T, id string) store.Instance {
	t.Helper()
	f.create(t, id)
	op := f.claim(t, "worker-of-"+id)
	in := f.instance(t, op.InstanceID)
	in.State, op.State = store.Ready, store.Succeeded
	if err := f.SaveOperation(f.ctx, &op, &in); err != nil {
		t.Fatalf("SaveOperation: %v", err)
	}
	return in
}

func (f *fixture) instance(t *testing.T, id string) store.Instance {
	t.Helper()
	in, err := f.Instance(f.ctx, id)
	if err != nil {
		t.Fatalf("Instance(%s): %v", id, err)
	}
	return in
}

func (f *fixture) operation(t *testing.T, id string) store.Operation {
	t.Helper()
	op, err := f.Operation(f.ctx, id)
	if err != nil {
		t.Fatalf("Operation(%s): %v", id, err)
	}
	return op
}

func (f *fixture) claim(t *testing.T, owner string) store.Operation {
	t.Helper()
	op, err := f.Claim(f.ctx, owner, lease)
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	return op
}

func wantKind(t *testing.T, what string, err error, kind fault.Kind, is error) {
	t.Helper()
	if !fault.Is(err, kind) || (is != nil && !errors.Is(err, is)) {
		t.Errorf("%s: got %v, want %s (%v)", what, err, kind, is)
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func prepared() store.Prepared {
	return store.Prepared{Template: "kettle", Attributes: map[string]any{"litres": int64(9007199254740993), "ratio": 0.5, "on": true, "list": []any{"a", int64(1)}, "map": map[string]any{"k": "v"}},
		SecretAttributes: secret.Values{"token": secret.New("t0ken")}, Secrets: secret.Values{"root": secret.New("r00t")}}
}
