package broker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/broker"
	"github.com/holdfast-osb/holdfast/broker/brokertest"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/spi"
)

func TestCatalog(t *testing.T) {
	h := start(t, withTeapots)
	got := h.want("catalog", h.do("GET", "/v2/catalog", nil), http.StatusOK)
	var catalog struct {
		Services []struct {
			ID, Name             string
			Bindable             bool
			InstancesRetrievable bool `json:"instances_retrievable"`
			BindingsRetrievable  bool `json:"bindings_retrievable"`
			PlanUpdateable       bool `json:"plan_updateable"`
			Metadata             map[string]any
			Plans                []struct {
				ID              string
				Free            *bool
				PlanUpdateable  bool              `json:"plan_updateable"`
				MaintenanceInfo map[string]string `json:"maintenance_info"`
				Schemas         map[string]map[string]map[string]map[string]any
			}
		}
	}
	if err := json.Unmarshal([]byte(got.raw), &catalog); err != nil {
		t.Fatal(err)
	}
	if len(catalog.Services) != 2 {
		t.Fatalf("got %d services, want 2", len(catalog.Services))
	}
	kettle, teapot := catalog.Services[0], catalog.Services[1]
	if kettle.ID != brokertest.KettleService || !kettle.Bindable || !kettle.InstancesRetrievable || !kettle.BindingsRetrievable || !kettle.PlanUpdateable || kettle.Metadata["displayName"] != "Kettle" {
		t.Errorf("kettle: got %+v", kettle)
	}
	if teapot.PlanUpdateable || teapot.Plans[0].MaintenanceInfo != nil {
		t.Errorf("teapot: got %+v", teapot)
	}
	small, large := kettle.Plans[0], kettle.Plans[1]
	if !small.PlanUpdateable || large.PlanUpdateable || !*small.Free || *large.Free || small.MaintenanceInfo["version"] != "1.2.0" || len(small.MaintenanceInfo) != 1 {
		t.Errorf("plans: got %+v and %+v", small, large)
	}
	for _, s := range []map[string]any{small.Schemas["service_instance"]["create"]["parameters"], small.Schemas["service_instance"]["update"]["parameters"], small.Schemas["service_binding"]["create"]["parameters"]} {
		if s["type"] != "object" || s["$schema"] == nil {
			t.Errorf("schema: got %v", s)
		}
	}
	for _, member := range []string{`"parameters":null`, `"public"`, `"private"`} {
		if strings.Contains(got.raw, member) {
			t.Errorf("the catalog holds %s, which platforms refuse", member)
		}
	}
}

// A second SPI's instances are its own.
func TestTwoServices(t *testing.T) {
	pots := brokertest.NewKettles(teapots())
	h := start(t, func(_ *harness, _ *brokerConfig, services map[string]spi.Service) { services["teapots"] = pots })
	h.provision("kettle-1", nil)
	h.provision("teapot-1", object{"service_id": "teapot-service-id", "plan_id": "teapot-plan-id"})
	if _, ok := pots.Configured("teapot-1"); !ok || pots.Calls("prepare") != 1 || h.kettles.Calls("prepare") != 1 {
		t.Errorf("prepares: %d and %d, want one each", pots.Calls("prepare"), h.kettles.Calls("prepare"))
	}
	if got := h.instance("teapot-1").Deployment; !strings.HasPrefix(got, "teapot-") {
		t.Errorf("deployment %q", got)
	}
	h.want("bind", h.do("PUT", bindingPath("teapot-1", "b1"), object{"service_id": "teapot-service-id", "plan_id": "teapot-plan-id"}), http.StatusCreated)
	if !pots.Bound("teapot-1", "b1") {
		t.Error("the binding is not in the second service")
	}
}

func TestCatalogsThatAreRefused(t *testing.T) {
	change := func(f func(*spi.Offering)) spi.Catalog {
		c := teapots()
		c.Services[0].Plans = append([]spi.Plan{}, c.Services[0].Plans...)
		f(&c.Services[0])
		return c
	}
	for name, c := range map[string]struct {
		second spi.Catalog
		want   string
	}{
		"same service id":   {change(func(o *spi.Offering) { o.ID = brokertest.KettleService }), `id "kettle-service-id" is used by spi kettles: service kettle too`},
		"same service name": {change(func(o *spi.Offering) { o.Name = "kettle" }), `service name "kettle" is used`},
		"same plan id":      {change(func(o *spi.Offering) { o.Plans[0].ID = brokertest.KettleSmall }), `id "kettle-small-id" is used`},
		"plan without id":   {change(func(o *spi.Offering) { o.Plans[0].ID = "" }), "plan small: id"},
		"no plans":          {change(func(o *spi.Offering) { o.Plans = nil }), "no plans"},
		"no description":    {change(func(o *spi.Offering) { o.Description = "" }), "description"},
		"no schema":         {change(func(o *spi.Offering) { o.Plans[0].Schemas.CreateBinding = nil }), "schemas.create_binding"},
		"broken schema":     {change(func(o *spi.Offering) { o.Plans[0].Schemas.CreateInstance = json.RawMessage(`{"type": 5}`) }), "schemas.create_instance"},
		"schema from a file": {change(func(o *spi.Offering) {
			o.Plans[0].Schemas.CreateInstance = json.RawMessage(`{"$ref": "file:///etc/passwd"}`)
		}), "outside"},
		"migration nowhere": {change(func(o *spi.Offering) { o.Plans[0].MigratesTo = []string{"moon"} }), `migrates_to names "moon"`},
		"nothing":           {spi.Catalog{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t)
			b, err := broker.New(testConfig(), h.store, map[string]spi.Service{"kettles": h.kettles, "teapots": brokertest.NewKettles(c.second)}, h.director, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			err = b.Run(ctx)
			if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Run: got %v, want %q", err, c.want)
			}
		})
	}
}

func TestBrokerWaitsForItsServices(t *testing.T) {
	var up atomic.Bool
	kettles := brokertest.NewKettles(brokertest.KettleCatalog())
	kettles.Before(func(ctx context.Context, call, _ string) error {
		if !up.Load() {
			return fault.New(fault.Unavailable, "not yet")
		}
		return ctx.Err()
	})
	h := start(t, func(h *harness, _ *brokerConfig, services map[string]spi.Service) {
		services["kettles"] = kettles
		time.AfterFunc(300*time.Millisecond, func() { up.Store(true) })
	})
	h.provision("i1", nil)
	if !strings.Contains(h.log.String(), "waiting for the catalogs") {
		t.Error("the log does not tell that the broker waited")
	}
}

func TestAnswersWhileStarting(t *testing.T) {
	h := start(t)
	b, err := broker.New(testConfig(), h.store, map[string]spi.Service{"kettles": h.kettles}, h.director, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	h.server.Config.Handler = b.Handler() // never ran
	for _, r := range []response{h.do("GET", "/v2/catalog", nil), h.do("PUT", instancePath("i1")+async, provisionBody(nil)), h.do("GET", "/healthz", nil)} {
		if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
			t.Errorf("got %d %s, want 503 and when to try again", r.status, r.raw)
		}
	}
}

// An operator may drop a plan or a service that still has instances.
func TestForgottenPlan(t *testing.T) {
	h := start(t, func(_ *harness, cfg *brokerConfig, _ map[string]spi.Service) { cfg.CatalogRefresh = time.Second })
	h.provision("i1", nil)
	c := brokertest.KettleCatalog()
	c.Services[0].Plans = c.Services[0].Plans[1:]
	h.kettles.Offer(c)
	h.eventually("the plan is gone", func() bool {
		return !strings.Contains(h.do("GET", "/v2/catalog", nil).raw, brokertest.KettleSmall)
	})
	h.want("provision", h.do("PUT", instancePath("i2")+async, provisionBody(nil)), http.StatusBadRequest)
	h.want("bind", h.do("PUT", bindingPath("i1", "b1"), bindBody(nil)), http.StatusCreated)
	h.want("unbind", h.do("DELETE", bindingPath("i1", "b1")+"?"+deleteQuery, nil), http.StatusOK)
	h.want("update", h.do("PATCH", instancePath("i1")+async, patch(object{"parameters": object{"litres": 3}})), http.StatusUnprocessableEntity)
	h.deprovision("i1")
	h.nothing("after deprovision")
}

func TestConfigNamesEveryFault(t *testing.T) {
	cfg := broker.Config{DeploymentPrefix: "Kettle_"}
	err := cfg.Validate()
	for _, key := range []string{"username", "password", "deployment_prefix", "catalog_refresh", "bind_timeout", "retention", "operation.lease", "operation.idle",
		"operation.call_timeout", "operation.parallel", "operation.limits.deploying", "operation.limits.waiting", "operation.limits.submissions"} {
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+key+": ") {
			t.Errorf("Validate does not name %s: %v", key, err)
		}
	}
	if err := testConfig().Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	if _, err := broker.New(broker.DefaultConfig(), nil, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "password") {
		t.Errorf("a broker without a password: got %v", err)
	}
	if strings.Contains(fmt.Sprintf("%+v", testConfig()), password) {
		t.Error("the configuration shows its password")
	}
}
