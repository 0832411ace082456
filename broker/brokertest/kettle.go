package brokertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
)

// Ids of the kettles' catalog.
const (
	KettleService = "kettle-service-id"
	KettleSmall   = "kettle-small-id"
	KettleLarge   = "kettle-large-id"
)

// Kettles is the SPI of an invented data service.
type Kettles struct {
	hooks

	mu       sync.Mutex
	up       func(deployment string) bool
	offers   spi.Catalog
	outside  map[string]string            // instance → what Prepare left elsewhere
	ready    map[string]spi.Instance      // instance → as it was last configured
	bindings map[string]map[string]string // instance → binding → parameters
	calls    map[string]int
}

var _ spi.Service = (*Kettles)(nil)

const kettleParameters = `{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false, "properties": {
	"litres": {"type": "integer", "minimum": 1, "maximum": 10}, "colour": {"enum": ["red", "blue"]}, "label": {"type": "string", "maxLength": 20},
	"spout": {"type": "object", "additionalProperties": false, "required": ["width"], "properties": {"width": {"type": "number"}}}}}`

const cupParameters = `{"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
	"properties": {"cups": {"type": "integer", "minimum": 1}}}`

// KettleCatalog is what Kettles offers unless told otherwise.
func KettleCatalog() spi.Catalog {
	schemas := spi.Schemas{CreateInstance: json.RawMessage(kettleParameters), UpdateInstance: json.RawMessage(kettleParameters), CreateBinding: json.RawMessage(cupParameters)}
	return spi.Catalog{Services: []spi.Offering{{
		ID: KettleService, Name: "kettle", Description: "Boils water", Bindable: true, Tags: []string{"hot"}, Metadata: map[string]any{"displayName": "Kettle"},
		Plans: []spi.Plan{
			{ID: KettleSmall, Name: "small", Description: "One litre", Free: true, Schemas: schemas, MaintenanceInfo: spi.MaintenanceInfo{Version: "1.2.0"}, MigratesTo: []string{KettleLarge}},
			{ID: KettleLarge, Name: "large", Description: "Ten litres", Schemas: schemas, MaintenanceInfo: spi.MaintenanceInfo{Version: "1.2.0"}},
		},
	}}}
}

// NewKettles makes an SPI that offers c.
func NewKettles(c spi.Catalog) *Kettles {
	return &Kettles{offers: c, outside: map[string]string{}, ready: map[string]spi.Instance{}, bindings: map[string]map[string]string{}, calls: map[string]int{}}
}

func (k *Kettles) begin(ctx context.Context, call, id string) error {
	k.mu.Lock()
	k.calls[call]++
	k.mu.Unlock()
	return k.before(ctx, call, id)
}

// Up makes a function tell whether an instance's deployment answers; nil: it
// does.
func (k *Kettles) Up(f func(deployment string) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.up = f
}

// Catalog implements spi.Service.
func (k *Kettles) Catalog(ctx context.Context) (spi.Catalog, error) {
	if err := k.begin(ctx, "catalog", ""); err != nil {
		return spi.Catalog{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.offers, nil
}

// Offer changes the catalog.
func (k *Kettles) Offer(c spi.Catalog) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.offers = c
}

type kettle struct {
	Litres int    `json:"litres"`
	Colour string `json:"colour"`
}

// Prepare implements spi.Service.
func (k *Kettles) Prepare(ctx context.Context, in spi.PrepareRequest) (spi.Preparation, error) {
	if err := k.begin(ctx, "prepare", in.Instance.ID); err != nil {
		return spi.Preparation{}, err
	}
	wanted := kettle{Litres: 1, Colour: "red"}
	if len(in.Instance.Parameters) > 0 {
		if err := json.Unmarshal(in.Instance.Parameters, &wanted); err != nil {
			return spi.Preparation{}, fault.InvalidField("parameters", "must be an object")
		}
	}
	if wanted.Litres == 7 {
		return spi.Preparation{}, fault.InvalidField("parameters.litres", "seven is unlucky")
	}
	root, kept := in.Instance.Secrets["root"]
	if !kept {
		root = secret.New("root-" + rand.Text())
	}
	k.mu.Lock()
	k.outside[in.Instance.ID] = "token of " + in.Instance.ID
	k.mu.Unlock()
	return spi.Preparation{
		Template: "kettle", Attributes: map[string]any{"litres": wanted.Litres, "colour": wanted.Colour, "plan": in.Instance.PlanID},
		SecretAttributes: secret.Values{"verifier": secret.New("v-" + root.Reveal())}, Secrets: secret.Values{"root": root},
	}, k.after(ctx, "prepare", in.Instance.ID)
}

func (k *Kettles) reachable(in spi.Instance) error {
	k.mu.Lock()
	up := k.up
	k.mu.Unlock()
	if up != nil && !up(in.Deployment) {
		return fault.New(fault.Unavailable, "the kettle does not answer")
	}
	if len(in.Nodes) == 0 {
		return fault.New(fault.Internal, "the kettle has no nodes")
	}
	if in.Secrets["root"].Empty() {
		return fault.New(fault.Internal, "the kettle's secret is missing")
	}
	return nil
}

// Configure implements spi.Service.
func (k *Kettles) Configure(ctx context.Context, in spi.Instance) error {
	if err := k.begin(ctx, "configure", in.ID); err != nil {
		return err
	}
	if err := k.reachable(in); err != nil {
		return err
	}
	k.mu.Lock()
	k.ready[in.ID] = in
	k.mu.Unlock()
	return k.after(ctx, "configure", in.ID)
}

func credentials(in spi.BindRequest) spi.Credentials {
	return spi.Credentials{"username": "user-" + in.BindingID, "password": "p-" + in.Instance.Secrets["root"].Reveal() + in.BindingID, "host": in.Instance.Nodes[0].Address}
}

func parametersOf(raw json.RawMessage) string {
	var out bytes.Buffer
	if json.Compact(&out, raw) != nil {
		return string(raw)
	}
	return out.String()
}

// Bind implements spi.Service.
func (k *Kettles) Bind(ctx context.Context, in spi.BindRequest) (spi.Credentials, error) {
	if err := k.begin(ctx, "bind", in.Instance.ID); err != nil {
		return nil, err
	}
	if err := k.reachable(in.Instance); err != nil {
		return nil, err
	}
	k.mu.Lock()
	_, configured := k.ready[in.Instance.ID]
	of := k.bindings[in.Instance.ID]
	if of == nil {
		of = map[string]string{}
		k.bindings[in.Instance.ID] = of
	}
	earlier, exists := of[in.BindingID]
	given := parametersOf(in.Parameters)
	if configured && !exists {
		of[in.BindingID] = given
	}
	k.mu.Unlock()
	switch {
	case !configured:
		return nil, fault.New(fault.Internal, "the kettle was never configured")
	case exists && earlier != given:
		return nil, fault.New(fault.Conflict, "the binding exists with other parameters")
	case given == `{"cups":13}`:
		k.forget(in)
		return nil, fault.InvalidField("parameters.cups", "thirteen is unlucky")
	}
	return credentials(in), k.after(ctx, "bind", in.Instance.ID)
}

func (k *Kettles) forget(in spi.BindRequest) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.bindings[in.Instance.ID], in.BindingID)
}

// Credentials implements spi.Service.
func (k *Kettles) Credentials(ctx context.Context, in spi.BindRequest) (spi.Credentials, error) {
	if err := k.begin(ctx, "credentials", in.Instance.ID); err != nil {
		return nil, err
	}
	if !k.Bound(in.Instance.ID, in.BindingID) {
		return nil, fault.New(fault.NotFound, "the kettle does not know the binding")
	}
	return credentials(in), nil
}

// Unbind implements spi.Service.
func (k *Kettles) Unbind(ctx context.Context, in spi.BindRequest) error {
	if err := k.begin(ctx, "unbind", in.Instance.ID); err != nil {
		return err
	}
	if err := k.reachable(in.Instance); err != nil {
		return err
	}
	k.forget(in)
	return k.after(ctx, "unbind", in.Instance.ID)
}

// Status implements spi.Service.
func (k *Kettles) Status(ctx context.Context, in spi.Instance) (spi.Status, error) {
	err := k.reachable(in)
	return spi.Status{Healthy: err == nil, Message: fmt.Sprint(err)}, nil
}

// Remove implements spi.Service.
func (k *Kettles) Remove(ctx context.Context, in spi.Instance) error {
	if err := k.begin(ctx, "remove", in.ID); err != nil {
		return err
	}
	k.mu.Lock()
	delete(k.outside, in.ID)
	delete(k.ready, in.ID)
	delete(k.bindings, in.ID)
	k.mu.Unlock()
	return k.after(ctx, "remove", in.ID)
}

// Bound tells whether a binding exists in the service.
func (k *Kettles) Bound(instanceID, bindingID string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.bindings[instanceID][bindingID]
	return ok
}

// Configured returns an instance as it was last configured.
func (k *Kettles) Configured(instanceID string) (spi.Instance, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	in, ok := k.ready[instanceID]
	return in, ok
}

// Left lists the instances that something is left of.
func (k *Kettles) Left() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var left []string
	for id := range k.outside {
		left = append(left, id)
	}
	return left
}

// Calls counts the calls of one kind.
func (k *Kettles) Calls(call string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls[call]
}
