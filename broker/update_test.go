package broker_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/broker/brokertest"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/spi"
)

func patch(changes object) object {
	body := object{"service_id": brokertest.KettleService}
	for name, value := range changes {
		body[name] = value
	}
	return body
}

func TestUpdate(t *testing.T) {
	h := start(t)
	h.provision("i1", object{"parameters": object{"litres": 2, "colour": "blue"}})
	before, _ := h.kettles.Configured("i1")
	h.want("a change of nothing", h.do("PATCH", instancePath("i1"), patch(nil)), http.StatusOK)
	h.want("the same again", h.do("PATCH", instancePath("i1"), patch(object{"plan_id": brokertest.KettleSmall, "parameters": object{"litres": 2}})), http.StatusOK)

	h.director.Takes(100 * time.Millisecond)
	larger := patch(object{"plan_id": brokertest.KettleLarge, "parameters": object{"litres": 9}, "previous_values": object{"plan_id": brokertest.KettleSmall}})
	accepted := h.want("update", h.do("PATCH", instancePath("i1")+async, larger), http.StatusAccepted)
	again := h.want("the same while it runs", h.do("PATCH", instancePath("i1")+async, larger), http.StatusAccepted)
	if again.text("operation") != accepted.text("operation") {
		t.Errorf("the same update has another operation: %s and %s", accepted.raw, again.raw)
	}
	for name, got := range map[string]response{
		"another update": h.do("PATCH", instancePath("i1")+async, patch(object{"parameters": object{"litres": 8}})),
		"back":           h.do("PATCH", instancePath("i1")+async, patch(object{"parameters": object{"litres": 2}})),
		"bind":           h.do("PUT", bindingPath("i1", "b1"), bindBody(nil)),
		"fetch":          h.do("GET", instancePath("i1"), nil),
	} {
		if h.want(name+" while it runs", got, http.StatusUnprocessableEntity); got.text("error") != "ConcurrencyError" {
			t.Errorf("%s while it runs: got %s", name, got.raw)
		}
	}
	h.finish("update", "i1", accepted, "succeeded")
	got := h.want("fetch", h.do("GET", instancePath("i1"), nil), http.StatusOK)
	parameters := got.body["parameters"].(object)
	if got.text("plan_id") != brokertest.KettleLarge || parameters["litres"] != 9.0 || parameters["colour"] != "blue" {
		t.Errorf("after the update: got %s; want the other plan, other litres and the same colour", got.raw)
	}
	after, _ := h.kettles.Configured("i1")
	if after.PlanID != brokertest.KettleLarge || fmt.Sprint(after.Attributes["litres"]) != "9" || after.Secrets["root"].Reveal() != before.Secrets["root"].Reveal() {
		t.Errorf("configured as %+v; want the new plan and the kept secret", after)
	}
	if tasks := h.director.Tasks(h.instance("i1").Deployment); len(tasks) != 2 {
		t.Errorf("%d tasks, want 2", len(tasks))
	}
	back := h.want("a plan that it may not move to", h.do("PATCH", instancePath("i1")+async, patch(object{"plan_id": brokertest.KettleSmall})), http.StatusUnprocessableEntity)
	if back.text("error") != "PlanChangeNotSupported" {
		t.Errorf("got %s", back.raw)
	}
	// Platforms that missed the update still name the old plan.
	h.finish("deprovision", "i1", h.do("DELETE", instancePath("i1")+async+"&"+deleteQuery, nil), "succeeded")
	h.nothing("after deprovision")
}

func TestUpdateToNewerMaintenance(t *testing.T) {
	h := start(t, func(_ *harness, cfg *brokerConfig, _ map[string]spi.Service) { cfg.CatalogRefresh = time.Second })
	h.provision("i1", nil)
	newer := brokertest.KettleCatalog()
	newer.Services[0].Plans[0].MaintenanceInfo.Version = "1.3.0"
	h.kettles.Offer(newer)
	upgrade := patch(object{"maintenance_info": object{"version": "1.3.0"}})
	var accepted response
	h.eventually("the catalog is read again", func() bool {
		accepted = h.do("PATCH", instancePath("i1")+async, upgrade)
		return accepted.status == http.StatusAccepted
	})
	if got := h.do("GET", instancePath("i1"), nil); got.status == http.StatusOK && got.body["maintenance_info"].(object)["version"] != "1.2.0" {
		t.Errorf("before the upgrade: got %s", got.raw)
	}
	h.finish("upgrade", "i1", accepted, "succeeded")
	if got := h.do("GET", instancePath("i1"), nil); got.body["maintenance_info"].(object)["version"] != "1.3.0" {
		t.Errorf("after the upgrade: got %s", got.raw)
	}
	h.want("the same upgrade again", h.do("PATCH", instancePath("i1")+async, upgrade), http.StatusOK)
}

var failingUpdates = map[string]struct {
	breaks func(h *harness)
	body   object
	usable bool
	repeat bool
	says   string
	tasks  int // beyond the creation's
}{
	"the SPI refuses it": {nil, patch(object{"parameters": object{"litres": 7}}), true, false, "parameters.litres: seven is unlucky", 0},
	"its deployment fails": {func(h *harness) {
		h.director.Fail(func(t brokertest.Task) string {
			if strings.HasPrefix(t.Operation, "update-") && !strings.HasSuffix(t.Operation, "-restore") {
				return "node/0 is not running after update"
			}
			return ""
		})
	}, patch(object{"parameters": object{"litres": 5}}), true, true, "usable with its earlier plan", 2},
	"the service refuses its new shape": {func(h *harness) {
		h.kettles.Before(func(ctx context.Context, call, _ string) error {
			if call == "configure" && h.kettles.Calls("configure") == 2 {
				return fault.New(fault.Internal, "boom")
			}
			return ctx.Err()
		})
	}, patch(object{"plan_id": brokertest.KettleLarge}), true, true, "usable with its earlier plan", 2},
	"restoring fails too": {func(h *harness) {
		h.director.Fail(func(t brokertest.Task) string {
			if strings.HasPrefix(t.Operation, "update-") {
				return "the infrastructure is on fire"
			}
			return ""
		})
	}, patch(object{"parameters": object{"litres": 5}}), false, true, "failed too", 2},
}

// A failed update leaves the instance usable on what it had, and says so.
func TestFailedUpdate(t *testing.T) {
	for name, c := range failingUpdates {
		t.Run(name, func(t *testing.T) {
			h := start(t)
			h.provision("i1", nil)
			if c.breaks != nil {
				c.breaks(h)
			}
			last := h.finish("update", "i1", h.do("PATCH", instancePath("i1")+async, c.body), "failed")
			if last.body["instance_usable"] != c.usable || last.body["update_repeatable"] != c.repeat || !strings.Contains(last.text("description"), c.says) {
				t.Errorf("got %s; want usable %t, repeatable %t, %q", last.raw, c.usable, c.repeat, c.says)
			}
			in := h.instance("i1")
			if in.PlanID != brokertest.KettleSmall || string(in.Private.Parameters) != `{"litres":2}` {
				t.Errorf("the instance has plan %s and parameters %s", in.PlanID, in.Private.Parameters)
			}
			if tasks := h.director.Tasks(in.Deployment); len(tasks) != 1+c.tasks {
				t.Errorf("%d tasks, want %d", len(tasks), 1+c.tasks)
			}
			if c.usable {
				if deployed, _ := h.director.Deployed(in.Deployment); fmt.Sprint(deployed.Attributes["litres"]) != "2" {
					t.Errorf("deployed with %v, want what it had", deployed.Attributes)
				}
				h.want("bind", h.do("PUT", bindingPath("i1", "b1"), bindBody(nil)), http.StatusCreated)
			}
			reference := last.text("description")[strings.LastIndex(last.text("description"), " ")+1:]
			if !strings.Contains(h.log.String(), `"reference":"`+strings.TrimSuffix(reference, ".")+`"`) {
				t.Errorf("the log does not have the reference of %q", last.text("description"))
			}
			h.director.Fail(nil)
			h.kettles.Before(nil)
			h.finish("update again", "i1", h.do("PATCH", instancePath("i1")+async, patch(object{"parameters": object{"litres": 6}})), "succeeded")
		})
	}
}
