// Package spitest is the conformance suite of the SPI's contract: every
// provider passes it, called directly and over HTTP.
package spitest

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/spi"
)

// Provider is what the suite is run against.
type Provider struct {
	Service spi.Service
	// Deploy makes what a preparation asks for really run and returns its
	// nodes. It may be called once.
	Deploy func(t *testing.T, p spi.Preparation) []spi.Node
	// BadParameters are parameters that a create must refuse, by the field
	// that the fault names.
	BadParameters map[string]string
	// BadBindParameters are the same for a bind.
	BadBindParameters map[string]string
	// OtherBindParameters are valid ones that differ from the default's; empty
	// when the service has none.
	OtherBindParameters string
}

// Run runs the suite. open is called once for each part of it.
func Run(t *testing.T, open func(t *testing.T) Provider) {
	t.Run("catalog", func(t *testing.T) { catalog(t, open(t)) })
	t.Run("prepare", func(t *testing.T) { prepare(t, open(t)) })
	t.Run("bad input", func(t *testing.T) { badInput(t, open(t)) })
	t.Run("life", func(t *testing.T) { life(t, open(t)) })
}

func catalog(t *testing.T, p Provider) {
	catalog, err := p.Service.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(catalog.Services) == 0 {
		t.Fatal("the catalog is empty")
	}
	ids := map[string]bool{}
	for _, service := range catalog.Services {
		if service.ID == "" || service.Name == "" || service.Description == "" || len(service.Plans) == 0 || ids[service.ID] {
			t.Errorf("service %q (%s): id, name, description and plans must be given, the id once", service.Name, service.ID)
		}
		ids[service.ID] = true
		plans := map[string]bool{}
		for _, plan := range service.Plans {
			plans[plan.ID] = true
		}
		for _, plan := range service.Plans {
			checkPlan(t, plan, plans, ids)
		}
	}
	again, err := p.Service.Catalog(t.Context())
	if err != nil || !reflect.DeepEqual(catalog, again) {
		t.Errorf("a second catalog differs: %v", err)
	}
}

func checkPlan(t *testing.T, plan spi.Plan, siblings, ids map[string]bool) {
	t.Helper()
	if plan.ID == "" || plan.Name == "" || plan.Description == "" || ids[plan.ID] {
		t.Errorf("plan %q (%s): id, name and description must be given, the id once", plan.Name, plan.ID)
	}
	ids[plan.ID] = true
	if plan.MaintenanceInfo.Version == "" {
		t.Errorf("plan %s: no maintenance_info", plan.Name)
	}
	for name, schema := range map[string]json.RawMessage{"create_instance": plan.Schemas.CreateInstance, "update_instance": plan.Schemas.UpdateInstance, "create_binding": plan.Schemas.CreateBinding} {
		if err := json.Unmarshal(schema, &map[string]any{}); err != nil {
			t.Errorf("plan %s: schema %s is no JSON object: %v", plan.Name, name, err)
		}
	}
	for _, to := range plan.MigratesTo {
		if !siblings[to] || to == plan.ID {
			t.Errorf("plan %s migrates to %s, which is no other plan of its service", plan.Name, to)
		}
	}
}

// Deployment is the name of the instance's that is really made.
const Deployment = "hf-6f2c1f4e-5a52-4c83-9a6e-30b7f0a1c001"

// newInstance is an instance of the catalog's first plan, not prepared yet.
func newInstance(t *testing.T, p Provider) spi.Instance {
	t.Helper()
	catalog, err := p.Service.Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	service := catalog.Services[0]
	return spi.Instance{ID: "6f2c1f4e-5a52-4c83-9a6e-30b7f0a1c001", Deployment: Deployment, ServiceID: service.ID, PlanID: service.Plans[0].ID}
}

// prepared takes over what a preparation says.
func prepared(in spi.Instance, p spi.Preparation) spi.Instance {
	in.Attributes, in.Secrets = p.Attributes, p.Secrets
	return in
}

func prepare(t *testing.T, p Provider) {
	in := newInstance(t, p)
	first, err := p.Service.Prepare(t.Context(), spi.PrepareRequest{Instance: in})
	if err != nil {
		t.Fatal(err)
	}
	if first.Template == "" {
		t.Error("no template")
	}
	second, err := p.Service.Prepare(t.Context(), spi.PrepareRequest{Instance: prepared(in, first)})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(plain(first), plain(second)) {
		t.Error("preparing again with the secrets of the first time gave something else")
	}
	in.ID, in.Deployment = "6f2c1f4e-5a52-4c83-9a6e-30b7f0a1c002", "hf-6f2c1f4e-5a52-4c83-9a6e-30b7f0a1c002"
	other, err := p.Service.Prepare(t.Context(), spi.PrepareRequest{Instance: in})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range first.Secrets.Reveal() {
		if other.Secrets[name].Reveal() == value {
			t.Errorf("two instances have the same secret %s", name)
		}
	}
}

// plain is a preparation as it can be compared: over the wire, numbers become
// floats.
func plain(p spi.Preparation) string {
	encoded, _ := json.Marshal([]any{p.Template, p.Attributes, p.SecretAttributes.Reveal(), p.Secrets.Reveal()})
	return string(encoded)
}

func badInput(t *testing.T, p Provider) {
	in := newInstance(t, p)
	for field, parameters := range p.BadParameters {
		bad := in
		bad.Parameters = json.RawMessage(parameters)
		_, err := p.Service.Prepare(t.Context(), spi.PrepareRequest{Instance: bad})
		wantInvalid(t, "prepare with "+parameters, err, field)
	}
	unknown := in
	unknown.PlanID = "no-such-plan"
	_, err := p.Service.Prepare(t.Context(), spi.PrepareRequest{Instance: unknown})
	wantInvalid(t, "prepare of an unknown plan", err, "plan_id")

	preparation, err := p.Service.Prepare(t.Context(), spi.PrepareRequest{Instance: in})
	if err != nil {
		t.Fatal(err)
	}
	in = prepared(in, preparation)
	for field, parameters := range p.BadBindParameters {
		_, err := p.Service.Bind(t.Context(), spi.BindRequest{Instance: in, BindingID: "b", Parameters: json.RawMessage(parameters)})
		wantInvalid(t, "bind with "+parameters, err, field)
	}
	// No server runs: the provider must say so, not hang or crash.
	if err := p.Service.Configure(t.Context(), in); !fault.Is(err, fault.Unavailable) {
		t.Errorf("configure without a server: got %v, want Unavailable", err)
	}
	if status, err := p.Service.Status(t.Context(), in); err != nil || status.Healthy || status.Message == "" {
		t.Errorf("status without a server: got %+v, %v; want an unhealthy one with a message", status, err)
	}
}

func wantInvalid(t *testing.T, what string, err error, field string) {
	t.Helper()
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("%s: got %v, want Invalid", what, err)
		return
	}
	if got := fault.From(err).Field; got != field {
		t.Errorf("%s: the fault names %q, want %q", what, got, field)
	}
}

func life(t *testing.T, p Provider) {
	in := newInstance(t, p)
	preparation, err := p.Service.Prepare(t.Context(), spi.PrepareRequest{Instance: in})
	if err != nil {
		t.Fatal(err)
	}
	in = prepared(in, preparation)
	in.Nodes = p.Deploy(t, preparation)
	for range 2 {
		if err := p.Service.Configure(t.Context(), in); err != nil {
			t.Fatalf("configure: %v", err)
		}
	}
	if status, err := p.Service.Status(t.Context(), in); err != nil || !status.Healthy || len(status.Nodes) != len(in.Nodes) {
		t.Errorf("status: got %+v, %v", status, err)
	}
	bindings(t, p, in)
	for range 2 {
		if err := p.Service.Remove(t.Context(), in); err != nil {
			t.Errorf("remove: %v", err)
		}
	}
}

func bindings(t *testing.T, p Provider, in spi.Instance) {
	ctx, one := context.WithoutCancel(t.Context()), spi.BindRequest{Instance: in, BindingID: "one"}
	if _, err := p.Service.Credentials(ctx, one); !fault.Is(err, fault.NotFound) {
		t.Errorf("credentials before the bind: got %v, want NotFound", err)
	}
	first, err := p.Service.Bind(ctx, one)
	if err != nil {
		t.Fatalf("bind: %v", err)
	}
	repeated, err := p.Service.Bind(ctx, one)
	if err != nil || !sameJSON(first, repeated) {
		t.Errorf("a repeated bind gave other credentials (%v)", err)
	}
	read, err := p.Service.Credentials(ctx, one)
	if err != nil || !sameJSON(first, read) {
		t.Errorf("reading the credentials gave others (%v)", err)
	}
	if p.OtherBindParameters != "" {
		other := one
		other.Parameters = json.RawMessage(p.OtherBindParameters)
		if _, err := p.Service.Bind(ctx, other); !fault.Is(err, fault.Conflict) {
			t.Errorf("the same binding with other parameters: got %v, want Conflict", err)
		}
	}
	two, err := p.Service.Bind(ctx, spi.BindRequest{Instance: in, BindingID: "two"})
	if err != nil || sameJSON(first, two) {
		t.Errorf("a second binding has the first one's credentials (%v)", err)
	}
	for range 2 {
		if err := p.Service.Unbind(ctx, one); err != nil {
			t.Errorf("unbind: %v", err)
		}
	}
	if _, err := p.Service.Credentials(ctx, one); !fault.Is(err, fault.NotFound) {
		t.Errorf("credentials after the unbind: got %v, want NotFound", err)
	}
	if _, err := p.Service.Credentials(ctx, spi.BindRequest{Instance: in, BindingID: "two"}); err != nil {
		t.Errorf("the other binding is gone too: %v", err)
	}
}

func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
