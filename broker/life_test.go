package broker_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/broker/brokertest"
	"github.com/holdfast-osb/holdfast/store"
)

func TestLife(t *testing.T) {
	h := start(t)
	h.director.Takes(300 * time.Millisecond)
	id := uuid(1)
	h.checkProvision(t, id)
	h.checkBinding(t, id)
	h.checkDeprovision(t, id)
	h.provision(id, nil) // the id may be used again
	if got := h.instance(id); got.State != store.Ready {
		t.Errorf("provisioned again: got %s", got.State)
	}
}

func (h *harness) checkProvision(t *testing.T, id string) {
	t.Helper()
	accepted := h.want("provision", h.do("PUT", instancePath(id)+async, provisionBody(nil)), http.StatusAccepted)
	if accepted.text("operation") == "" {
		t.Errorf("provision: no operation in %s", accepted.raw)
	}
	h.want("fetch during the creation", h.do("GET", instancePath(id), nil), http.StatusNotFound)
	h.eventually("progress of the director shows", func() bool {
		last := h.do("GET", instancePath(id)+"/last_operation", nil)
		if last.text("state") == "in progress" && last.header.Get("Retry-After") == "" {
			t.Error("no Retry-After while in progress")
		}
		return strings.HasPrefix(last.text("description"), "Creating missing vms: node/0 … ")
	})
	h.finish("provision", id, accepted, "succeeded")

	name := "kettle-" + id
	if deployed, ok := h.director.Deployed(name); !ok || deployed.Tags["instance_id"] != id || deployed.SecretAttributes["verifier"].Empty() {
		t.Errorf("deployment %s: got %+v, %t", name, deployed, ok)
	}
	got := h.want("fetch", h.do("GET", instancePath(id), nil), http.StatusOK)
	if got.text("plan_id") != brokertest.KettleSmall || got.body["parameters"].(object)["litres"] != 2.0 || got.body["maintenance_info"].(object)["version"] != "1.2.0" {
		t.Errorf("fetch: got %s", got.raw)
	}
}

func (h *harness) checkBinding(t *testing.T, id string) {
	t.Helper()
	bound := h.want("bind", h.do("PUT", bindingPath(id, "b1"), bindBody(object{"parameters": object{"cups": 2}})), http.StatusCreated)
	credentials := bound.body["credentials"].(object)
	if credentials["username"] != "user-b1" || credentials["host"] == "" {
		t.Errorf("bind: got %s", bound.raw)
	}
	fetched := h.want("fetch binding", h.do("GET", bindingPath(id, "b1"), nil), http.StatusOK)
	if fetched.body["credentials"].(object)["password"] != credentials["password"] || fetched.body["parameters"].(object)["cups"] != 2.0 {
		t.Errorf("fetch binding: got %s, want the same as %s", fetched.raw, bound.raw)
	}
	if poll := h.want("poll binding", h.do("GET", bindingPath(id, "b1")+"/last_operation", nil), http.StatusOK); poll.text("state") != "succeeded" {
		t.Errorf("poll binding: got %s", poll.raw)
	}
	if got := h.want("unbind", h.do("DELETE", bindingPath(id, "b1")+"?"+deleteQuery, nil), http.StatusOK); got.raw != "{}\n" {
		t.Errorf("unbind: got %s, want {}", got.raw)
	}
	if h.kettles.Bound(id, "b1") {
		t.Error("the service still knows the binding")
	}
	h.want("fetch binding after unbind", h.do("GET", bindingPath(id, "b1"), nil), http.StatusNotFound)
	if got := h.want("unbind again", h.do("DELETE", bindingPath(id, "b1")+"?"+deleteQuery, nil), http.StatusGone); got.raw != "{}\n" {
		t.Errorf("unbind again: got %s, want {}", got.raw)
	}
}

func (h *harness) checkDeprovision(t *testing.T, id string) {
	t.Helper()
	deleting := h.want("deprovision", h.do("DELETE", instancePath(id)+async+"&"+deleteQuery, nil), http.StatusAccepted)
	h.finish("deprovision", id, deleting, "succeeded")
	h.nothing("after deprovision")
	for _, query := range []string{"", "?operation=" + deleting.text("operation"), "?operation=unknown"} {
		if last := h.want("poll after the end", h.do("GET", instancePath(id)+"/last_operation"+query, nil), http.StatusOK); last.text("state") != "succeeded" {
			t.Errorf("poll after the end (%s): got %s", query, last.raw)
		}
	}
	h.want("fetch after deprovision", h.do("GET", instancePath(id), nil), http.StatusNotFound)
	if got := h.want("deprovision again", h.do("DELETE", instancePath(id)+async+"&"+deleteQuery, nil), http.StatusGone); got.raw != "{}\n" {
		t.Errorf("deprovision again: got %s, want {}", got.raw)
	}
	h.want("bind after deprovision", h.do("PUT", bindingPath(id, "b2"), bindBody(nil)), http.StatusNotFound)
	h.want("update after deprovision", h.do("PATCH", instancePath(id)+async, object{"service_id": brokertest.KettleService}), http.StatusNotFound)
	h.want("unbind after deprovision", h.do("DELETE", bindingPath(id, "b1")+"?"+deleteQuery, nil), http.StatusGone)
}

func TestPollOfWhatNeverWas(t *testing.T) {
	h := start(t)
	h.want("poll of nothing", h.do("GET", instancePath("nothing")+"/last_operation", nil), http.StatusNotFound)
	h.want("poll of a deletion that was purged", h.do("GET", instancePath("nothing")+"/last_operation?operation=delete-abc", nil), http.StatusGone)
	h.want("poll of a binding that never was", h.do("GET", bindingPath("nothing", "b1")+"/last_operation", nil), http.StatusGone)
}

func TestIdenticalRequestsAreOne(t *testing.T) {
	h := start(t)
	h.director.Takes(200 * time.Millisecond)
	first := h.want("provision", h.do("PUT", instancePath("i1")+async, provisionBody(nil)), http.StatusAccepted)
	again := h.want("the same while it runs", h.do("PUT", instancePath("i1")+async, provisionBody(object{"context": object{"platform": "another"}})), http.StatusAccepted)
	if again.text("operation") != first.text("operation") {
		t.Errorf("the same request has another operation: %s and %s", first.raw, again.raw)
	}
	h.want("another while it runs", h.do("PUT", instancePath("i1")+async, provisionBody(object{"plan_id": brokertest.KettleLarge})), http.StatusConflict)
	h.want("bind while it runs", h.do("PUT", bindingPath("i1", "b1"), bindBody(nil)), http.StatusUnprocessableEntity)
	h.finish("provision", "i1", first, "succeeded")
	h.want("the same when it is done", h.do("PUT", instancePath("i1")+async, provisionBody(nil)), http.StatusOK)
	for name, changes := range map[string]object{
		"plan": {"plan_id": brokertest.KettleLarge}, "parameters": {"parameters": object{"litres": 3}}, "no parameters": {"parameters": nil},
		"organization": {"organization_guid": "org-2"}, "space": {"space_guid": "space-2"},
	} {
		h.want("another "+name, h.do("PUT", instancePath("i1")+async, provisionBody(changes)), http.StatusConflict)
	}
	deleting := h.want("delete", h.do("DELETE", instancePath("i1")+async+"&"+deleteQuery, nil), http.StatusAccepted)
	repeated := h.want("delete again", h.do("DELETE", instancePath("i1")+async+"&"+deleteQuery, nil), http.StatusAccepted)
	if repeated.text("operation") != deleting.text("operation") {
		t.Errorf("the same deletion has another operation: %s and %s", deleting.raw, repeated.raw)
	}
	during := h.want("provision during the deletion", h.do("PUT", instancePath("i1")+async, provisionBody(nil)), http.StatusUnprocessableEntity)
	if during.text("error") != "ConcurrencyError" || during.header.Get("Retry-After") == "" {
		t.Errorf("provision during the deletion: got %s, Retry-After %q", during.raw, during.header.Get("Retry-After"))
	}
	h.finish("delete", "i1", deleting, "succeeded")
	if n := len(h.director.Tasks(h.instance("i1").Deployment)); n != 2 {
		t.Errorf("%d tasks, want one deploy and one delete", n)
	}
}

func TestParametersThatSayNothingAreTheSame(t *testing.T) {
	h := start(t)
	h.provision("i1", object{"parameters": nil})
	for _, parameters := range []any{object{}, nil} {
		body := provisionBody(nil)
		body["parameters"] = parameters
		h.want("provision again", h.do("PUT", instancePath("i1")+async, body), http.StatusOK)
	}
}

func TestConcurrentIdenticalProvisions(t *testing.T) {
	h := start(t)
	const n = 10
	answers := make(chan response, n)
	for range n {
		go func() { answers <- h.do("PUT", instancePath("i1")+async, provisionBody(nil)) }()
	}
	operations := map[string]bool{}
	for range n {
		if got := <-answers; got.status == http.StatusAccepted {
			operations[got.text("operation")] = true
		} else if got.status != http.StatusOK {
			t.Errorf("got %d %s", got.status, got.raw)
		}
	}
	if len(operations) != 1 {
		t.Errorf("operations %v, want one", operations)
	}
	for op := range operations {
		h.wait("i1", op)
	}
	if tasks := h.director.Tasks(h.instance("i1").Deployment); len(tasks) != 1 {
		t.Errorf("%d tasks, want 1", len(tasks))
	}
}
