package broker_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/broker/brokertest"
	"github.com/holdfast-osb/holdfast/spi"
)

// teapots is the catalog of a second data service.
func teapots() spi.Catalog {
	c := brokertest.KettleCatalog()
	o := c.Services[0]
	o.ID, o.Name = "teapot-service-id", "teapot"
	plan := o.Plans[0]
	plan.ID, plan.MigratesTo, plan.MaintenanceInfo = "teapot-plan-id", nil, spi.MaintenanceInfo{}
	o.Plans = []spi.Plan{plan}
	return spi.Catalog{Services: []spi.Offering{o}}
}

func withTeapots(_ *harness, _ *brokerConfig, services map[string]spi.Service) {
	services["teapots"] = brokertest.NewKettles(teapots())
}

// The paths of the bad requests: of an instance that is not there, of one that
// is, and of a binding that is not.
var (
	newPath      = instancePath("new") + async
	therePath    = instancePath("there") + async
	newBinding   = bindingPath("there", "new")
	deletingPath = instancePath("there") + async
)

func identity(value string) edit { return header("X-Broker-API-Originating-Identity", value) }

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

var badInput = map[string]struct {
	method, path string
	body         any
	edits        []edit
	status       int
	code         string // OSB's error code
	names        string // must be in the description
}{
	"unknown service":                     {"PUT", newPath, provisionBody(object{"service_id": "nope"}), nil, 400, "", "service_id"},
	"no service":                          {"PUT", newPath, provisionBody(object{"service_id": nil}), nil, 400, "", "service_id"},
	"unknown plan":                        {"PUT", newPath, provisionBody(object{"plan_id": "nope"}), nil, 400, "", "plan_id"},
	"no plan":                             {"PUT", newPath, provisionBody(object{"plan_id": nil}), nil, 400, "", "plan_id"},
	"plan of another service":             {"PUT", newPath, provisionBody(object{"plan_id": "teapot-plan-id"}), nil, 400, "", "plan_id: is a plan of another service"},
	"unknown parameter":                   {"PUT", newPath, provisionBody(object{"parameters": object{"liters": 3}}), nil, 400, "", "parameters.liters"},
	"unknown nested parameter":            {"PUT", newPath, provisionBody(object{"parameters": object{"spout": object{"width": 1, "hight": 2}}}), nil, 400, "", "parameters.spout.hight"},
	"missing nested parameter":            {"PUT", newPath, provisionBody(object{"parameters": object{"spout": object{}}}), nil, 400, "", "parameters.spout.width"},
	"wrong type of parameter":             {"PUT", newPath, provisionBody(object{"parameters": object{"litres": "three"}}), nil, 400, "", "parameters.litres"},
	"fraction for an integer":             {"PUT", newPath, provisionBody(object{"parameters": object{"litres": 1.5}}), nil, 400, "", "parameters.litres"},
	"too much":                            {"PUT", newPath, provisionBody(object{"parameters": object{"litres": 11}}), nil, 400, "", "parameters.litres"},
	"value not in list":                   {"PUT", newPath, provisionBody(object{"parameters": object{"colour": "green"}}), nil, 400, "", `parameters.colour: must be one of "red", "blue"`},
	"too long":                            {"PUT", newPath, provisionBody(object{"parameters": object{"label": strings.Repeat("x", 21)}}), nil, 400, "", "parameters.label"},
	"parameters no object":                {"PUT", newPath, provisionBody(object{"parameters": []int{1}}), nil, 400, "", "parameters"},
	"context no object":                   {"PUT", newPath, provisionBody(object{"context": "cf"}), nil, 400, "", "context"},
	"service id no string":                {"PUT", newPath, provisionBody(object{"service_id": 5}), nil, 400, "", "service_id"},
	"malformed JSON":                      {"PUT", newPath, `{"service_id": `, nil, 400, "", "body"},
	"empty body":                          {"PUT", newPath, ``, nil, 400, "", "body"},
	"trailing garbage":                    {"PUT", newPath, `{"service_id":"x"} {}`, nil, 400, "", "body"},
	"an array":                            {"PUT", newPath, `[]`, nil, 400, "", "body"},
	"null":                                {"PUT", newPath, `null`, nil, 400, "", "body"},
	"2 MiB body":                          {"PUT", newPath, provisionBody(object{"parameters": object{"label": strings.Repeat("x", 2<<20)}}), nil, 413, "", "body"},
	"2 MiB of malformed body":             {"PUT", newPath, strings.Repeat("x", 2<<20), nil, 413, "", "body"},
	"no organization":                     {"PUT", newPath, provisionBody(object{"organization_guid": nil}), nil, 400, "", "organization_guid"},
	"empty space":                         {"PUT", newPath, provisionBody(object{"space_guid": ""}), nil, 400, "", "space_guid"},
	"no accepts_incomplete":               {"PUT", instancePath("new"), provisionBody(nil), nil, 422, "AsyncRequired", "accepts_incomplete"},
	"accepts_incomplete=false":            {"PUT", instancePath("new") + "?accepts_incomplete=false", provisionBody(nil), nil, 422, "AsyncRequired", "accepts_incomplete"},
	"accepts_incomplete=perhaps":          {"PUT", instancePath("new") + "?accepts_incomplete=perhaps", provisionBody(nil), nil, 400, "", "accepts_incomplete"},
	"malformed query":                     {"PUT", instancePath("new") + "?a=%zz", provisionBody(nil), nil, 400, "", "query"},
	"old maintenance_info":                {"PUT", newPath, provisionBody(object{"maintenance_info": object{"version": "1.1.0"}}), nil, 422, "MaintenanceInfoConflict", "maintenance_info.version"},
	"maintenance_info of a plan without":  {"PUT", newPath, provisionBody(object{"service_id": "teapot-service-id", "plan_id": "teapot-plan-id", "maintenance_info": object{"version": "1.2.0"}}), nil, 422, "MaintenanceInfoConflict", "maintenance_info"},
	"maintenance_info no object":          {"PUT", newPath, provisionBody(object{"maintenance_info": "1.2.0"}), nil, 400, "", "maintenance_info"},
	"id with a space":                     {"PUT", instancePath("a%20b") + async, provisionBody(nil), nil, 400, "", "instance_id"},
	"id with an encoded letter":           {"PUT", instancePath("%61bc") + async, provisionBody(nil), nil, 400, "", "instance_id"},
	"id with an encoded slash":            {"PUT", instancePath("a%2Fb") + async, provisionBody(nil), nil, 400, "", "instance_id"},
	"id of dots":                          {"PUT", instancePath("..") + async, provisionBody(nil), nil, 400, "", "instance_id"},
	"id with a quote":                     {"PUT", instancePath("a'--") + async, provisionBody(nil), nil, 400, "", "instance_id"},
	"id of 65 characters":                 {"PUT", instancePath(strings.Repeat("a", 65)) + async, provisionBody(nil), nil, 400, "", "instance_id"},
	"empty id":                            {"PUT", instancePath("") + async, provisionBody(nil), nil, 400, "", "instance_id"},
	"bad binding id":                      {"PUT", bindingPath("there", "b%0a"), bindBody(nil), nil, 400, "", "binding_id"},
	"wrong password":                      {"PUT", newPath, provisionBody(nil), []edit{func(r *http.Request) { r.SetBasicAuth(username, "wrong") }}, 401, "", "credentials"},
	"wrong user":                          {"PUT", newPath, provisionBody(nil), []edit{func(r *http.Request) { r.SetBasicAuth("wrong", password) }}, 401, "", "credentials"},
	"no credentials":                      {"PUT", newPath, provisionBody(nil), []edit{header("Authorization", "")}, 401, "", "credentials"},
	"no credentials on an unknown path":   {"GET", "/v2/nothing", nil, []edit{header("Authorization", "")}, 401, "", "credentials"},
	"API version 1":                       {"PUT", newPath, provisionBody(nil), []edit{header("X-Broker-API-Version", "1.14")}, 412, "", "X-Broker-API-Version"},
	"API version 3":                       {"PUT", newPath, provisionBody(nil), []edit{header("X-Broker-API-Version", "3.0")}, 412, "", "X-Broker-API-Version"},
	"API version with a tail":             {"PUT", newPath, provisionBody(nil), []edit{header("X-Broker-API-Version", "2.14x")}, 412, "", "X-Broker-API-Version"},
	"no API version":                      {"PUT", newPath, provisionBody(nil), []edit{header("X-Broker-API-Version", "")}, 412, "", "X-Broker-API-Version"},
	"identity without a value":            {"PUT", newPath, provisionBody(nil), []edit{identity("cloudfoundry")}, 400, "", "X-Broker-API-Originating-Identity"},
	"identity not base64":                 {"PUT", newPath, provisionBody(nil), []edit{identity("cloudfoundry !!!")}, 400, "", "X-Broker-API-Originating-Identity"},
	"identity not JSON":                   {"PUT", newPath, provisionBody(nil), []edit{identity("cloudfoundry " + b64("user"))}, 400, "", "X-Broker-API-Originating-Identity"},
	"unknown path":                        {"GET", "/v2/nothing", nil, nil, 404, "", "path"},
	"trailing slash":                      {"GET", "/v2/catalog/", nil, nil, 404, "", "path"},
	"wrong method":                        {"POST", instancePath("new"), provisionBody(nil), nil, 405, "", "POST"},
	"update: unknown service":             {"PATCH", therePath, object{"service_id": "nope"}, nil, 400, "", "service_id"},
	"update: another service":             {"PATCH", therePath, object{"service_id": "teapot-service-id"}, nil, 400, "", "service_id"},
	"update: no service":                  {"PATCH", therePath, object{}, nil, 400, "", "service_id"},
	"update: plan of another service":     {"PATCH", therePath, object{"service_id": brokertest.KettleService, "plan_id": "teapot-plan-id"}, nil, 400, "", "plan_id"},
	"update: unknown parameter":           {"PATCH", therePath, object{"service_id": brokertest.KettleService, "parameters": object{"x": 1}}, nil, 400, "", "parameters.x"},
	"update: malformed JSON":              {"PATCH", therePath, `{`, nil, 400, "", "body"},
	"update: no accepts_incomplete":       {"PATCH", instancePath("there"), object{"service_id": brokertest.KettleService, "parameters": object{"litres": 5}}, nil, 422, "AsyncRequired", "accepts_incomplete"},
	"update: old maintenance_info":        {"PATCH", therePath, object{"service_id": brokertest.KettleService, "maintenance_info": object{"version": "0.1.0"}}, nil, 422, "MaintenanceInfoConflict", "maintenance_info"},
	"update: of nothing":                  {"PATCH", instancePath("nothing") + async, object{"service_id": brokertest.KettleService}, nil, 404, "", "service instance"},
	"bind: unknown service":               {"PUT", newBinding, bindBody(object{"service_id": "nope"}), nil, 400, "", "service_id"},
	"bind: another service":               {"PUT", newBinding, bindBody(object{"service_id": "teapot-service-id", "plan_id": "teapot-plan-id"}), nil, 400, "", "service_id"},
	"bind: plan of another service":       {"PUT", newBinding, bindBody(object{"plan_id": "teapot-plan-id"}), nil, 400, "", "plan_id"},
	"bind: another plan":                  {"PUT", newBinding, bindBody(object{"plan_id": brokertest.KettleLarge}), nil, 400, "", "plan_id"},
	"bind: unknown parameter":             {"PUT", newBinding, bindBody(object{"parameters": object{"mugs": 1}}), nil, 400, "", "parameters.mugs"},
	"bind: parameter that the SPI hates":  {"PUT", newBinding, bindBody(object{"parameters": object{"cups": 13}}), nil, 400, "", "parameters.cups: thirteen is unlucky"},
	"bind: malformed JSON":                {"PUT", newBinding, `{"service_id"`, nil, 400, "", "body"},
	"bind: bind_resource no object":       {"PUT", newBinding, bindBody(object{"bind_resource": "app"}), nil, 400, "", "bind_resource"},
	"bind: of nothing":                    {"PUT", bindingPath("nothing", "b1"), bindBody(nil), nil, 404, "", "service instance"},
	"bind: no body":                       {"PUT", newBinding, nil, nil, 400, "", "body"},
	"unbind: no service":                  {"DELETE", bindingPath("there", "bound") + "?plan_id=" + brokertest.KettleSmall, nil, nil, 400, "", "service_id"},
	"unbind: no plan":                     {"DELETE", bindingPath("there", "bound") + "?service_id=" + brokertest.KettleService, nil, nil, 400, "", "plan_id"},
	"unbind: another service":             {"DELETE", bindingPath("there", "bound") + "?service_id=teapot-service-id&plan_id=teapot-plan-id", nil, nil, 400, "", "service_id"},
	"unbind: plan of another service":     {"DELETE", bindingPath("there", "bound") + "?service_id=" + brokertest.KettleService + "&plan_id=teapot-plan-id", nil, nil, 400, "", "plan_id"},
	"delete: no service":                  {"DELETE", deletingPath + "&plan_id=" + brokertest.KettleSmall, nil, nil, 400, "", "service_id"},
	"delete: no plan":                     {"DELETE", deletingPath + "&service_id=" + brokertest.KettleService, nil, nil, 400, "", "plan_id"},
	"delete: unknown service":             {"DELETE", deletingPath + "&service_id=nope&plan_id=" + brokertest.KettleSmall, nil, nil, 400, "", "service_id"},
	"delete: another service":             {"DELETE", deletingPath + "&service_id=teapot-service-id&plan_id=teapot-plan-id", nil, nil, 400, "", "service_id"},
	"delete: plan of another service":     {"DELETE", deletingPath + "&service_id=" + brokertest.KettleService + "&plan_id=teapot-plan-id", nil, nil, 400, "", "plan_id"},
	"delete: no accepts_incomplete":       {"DELETE", instancePath("there") + "?" + deleteQuery, nil, nil, 422, "AsyncRequired", "accepts_incomplete"},
	"fetch: nothing":                      {"GET", instancePath("nothing"), nil, nil, 404, "", "service instance"},
	"fetch: another service":              {"GET", instancePath("there") + "?service_id=teapot-service-id", nil, nil, 404, "", "service instance"},
	"fetch: API version before it was":    {"GET", instancePath("there"), nil, []edit{header("X-Broker-API-Version", "2.13")}, 412, "", "2.14"},
	"fetch binding: nothing":              {"GET", bindingPath("there", "nothing"), nil, nil, 404, "", "binding"},
	"fetch binding of an unknown service": {"GET", bindingPath("there", "bound") + "?service_id=nope", nil, nil, 400, "", "service_id"},
}

// I8: bad input is refused before anything is created, with the field named.
func TestBadInput(t *testing.T) {
	h := start(t, withTeapots)
	h.provision("there", nil)
	h.want("bind", h.do("PUT", bindingPath("there", "bound"), bindBody(nil)), http.StatusCreated)
	tasks, prepares := len(h.director.Names()), h.kettles.Calls("prepare")

	for name, c := range badInput {
		t.Run(name, func(t *testing.T) {
			got := h.do(c.method, c.path, c.body, append(c.edits, header("X-Broker-API-Request-Identity", "request-7"))...)
			if got.status != c.status || got.text("error") != c.code || !strings.Contains(got.text("description"), c.names) {
				t.Errorf("got %d %s; want %d, error %q, a description with %q", got.status, got.raw, c.status, c.code, c.names)
			}
			if got.header.Get("X-Broker-API-Request-Identity") != "request-7" {
				t.Errorf("the request's identity is not echoed: %q", got.header.Get("X-Broker-API-Request-Identity"))
			}
			if challenge := got.header.Get("WWW-Authenticate"); (c.status == 401) != strings.HasPrefix(challenge, "Basic ") {
				t.Errorf("%d with challenge %q", c.status, challenge)
			}
			if c.status == 405 && got.header.Get("Allow") != "DELETE, GET, PATCH, PUT" {
				t.Errorf("405 with Allow %q", got.header.Get("Allow"))
			}
		})
	}
	if got := h.kettles.Calls("prepare"); len(h.director.Names()) != tasks || got != prepares {
		t.Errorf("something was created: deployments %v, %d prepares", h.director.Names(), got-prepares)
	}
	if _, err := h.store.Instance(t.Context(), "new"); err == nil {
		t.Error("a refused request left an instance's row")
	}
	if h.kettles.Bound("there", "new") || !h.kettles.Bound("there", "bound") {
		t.Error("a refused request made or removed a binding")
	}
	if _, err := h.store.Binding(t.Context(), "there", "new"); err == nil {
		t.Error("a refused request left a binding's row")
	}
}

func TestLenientInput(t *testing.T) {
	h := start(t)
	form := header("Content-Type", "application/x-www-form-urlencoded")
	h.finish("a form's content type", "i1", h.do("PUT", instancePath("i1")+async, provisionBody(nil), form), "succeeded")
	h.want("bind with a form's content type", h.do("PUT", bindingPath("i1", "b1"), bindBody(nil), form), http.StatusCreated)
	h.want("bind without bind_resource", h.do("PUT", bindingPath("i1", "b2"), bindBody(object{"bind_resource": nil})), http.StatusCreated)
	h.want("maintenance_info without a version", h.do("PUT", instancePath("i1")+async, provisionBody(object{"maintenance_info": object{}})), http.StatusOK)
	h.want("the catalog's maintenance_info", h.do("PUT", instancePath("i1")+async, provisionBody(object{"maintenance_info": object{"version": "1.2.0", "description": "x"}})), http.StatusOK)
	who := "cloudfoundry " + b64(`{"user_id":"user-77"}`)
	h.want("an originating identity", h.do("PUT", instancePath("i1")+async, provisionBody(nil), identity(who)), http.StatusOK)
	if !strings.Contains(h.log.String(), `"originator":"cloudfoundry:user-77"`) {
		t.Error("the originating identity is not in the log")
	}
	h.want("poll with the id of another plan", h.do("GET", instancePath("i1")+"/last_operation?plan_id=old&service_id=old", nil), http.StatusOK)
	h.want("an older minor version", h.do("GET", "/v2/catalog", nil, header("X-Broker-API-Version", "2.11")), http.StatusOK)
	h.want("a newer minor version", h.do("GET", "/v2/catalog", nil, header("X-Broker-API-Version", "2.99")), http.StatusOK)
	if got := h.do("GET", "/v2/catalog", nil, header("X-Broker-API-Request-Identity", strings.Repeat("x", 500))); got.header.Get("X-Broker-API-Request-Identity") != "" {
		t.Error("an oversized request identity is echoed")
	}
	h.want("healthz without credentials", h.do("GET", "/healthz", nil, header("Authorization", "")), http.StatusOK)
}
