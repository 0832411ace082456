package e2e

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
	"github.com/holdfast-osb/holdfast/test/stacktest"
)

// hostile is one bad request and what the broker must say to it.
type hostile struct {
	method, path string
	body         string
	header       map[string]string // over the right ones; "" removes one
	password     string            // instead of the right one
	status       int
	code         string // OSB's error code
	names        string // the field or header that the description names
}

// hostileProvisions sends every kind of wrong request to the running stack:
// each is refused as the API says, and nothing is made.
func hostileProvisions(t *testing.T, s *stacktest.Stack) {
	services, err := s.Broker().Catalog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body := func(change map[string]any) string {
		whole := map[string]any{"service_id": services[0].ID, "plan_id": services[0].Plans[0].ID, "organization_guid": "org", "space_guid": "space"}
		maps.Copy(whole, change)
		maps.DeleteFunc(whole, func(_ string, value any) bool { return value == nil })
		encoded, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		return string(encoded)
	}
	const query = "?accepts_incomplete=true"
	id := osbclient.NewID()
	path := "/v2/service_instances/" + id
	provision := func(body string, status int, names string) hostile {
		return hostile{method: http.MethodPut, path: path + query, body: body, status: status, names: names}
	}
	parameter := func(name string, value any) string {
		return body(map[string]any{"parameters": map[string]any{name: value}})
	}
	for name, h := range map[string]hostile{
		"unknown service":     provision(body(map[string]any{"service_id": "nope"}), 400, "service_id"),
		"unknown plan":        provision(body(map[string]any{"plan_id": "nope"}), 400, "plan_id"),
		"no plan":             provision(body(map[string]any{"plan_id": nil}), 400, "plan_id"),
		"unknown parameter":   provision(parameter("colour", "blue"), 400, "parameters.colour"),
		"wrong type":          provision(parameter("idle_in_transaction_timeout_seconds", "long"), 400, "parameters.idle_in_transaction_timeout_seconds"),
		"out of range":        provision(parameter("idle_in_transaction_timeout_seconds", -1), 400, "parameters.idle_in_transaction_timeout_seconds"),
		"parameters, a list":  provision(body(map[string]any{"parameters": []int{1}}), 400, "parameters"),
		"malformed JSON":      provision(`{"service_id":`, 400, "body"),
		"two values":          provision(body(nil)+"{}", 400, "body"),
		"no object":           provision("[]", 400, "body"),
		"no body":             provision("", 400, "body"),
		"2 MiB":               provision(`{"service_id": "`+strings.Repeat("x", 2<<20)+`"}`, 413, "body"),
		"no organization":     provision(body(map[string]any{"organization_guid": nil}), 400, "organization_guid"),
		"no space":            provision(body(map[string]any{"space_guid": nil}), 400, "space_guid"),
		"no async":            {method: http.MethodPut, path: path, body: body(nil), status: 422, code: "AsyncRequired", names: "accepts_incomplete"},
		"id with a path":      {method: http.MethodPut, path: "/v2/service_instances/..%2F..%2Fetc" + query, body: body(nil), status: 400, names: "instance_id"},
		"id with a quote":     {method: http.MethodPut, path: "/v2/service_instances/a'b" + query, body: body(nil), status: 400, names: "instance_id"},
		"id without end":      {method: http.MethodPut, path: "/v2/service_instances/" + strings.Repeat("a", 200) + query, body: body(nil), status: 400, names: "instance_id"},
		"wrong password":      {method: http.MethodPut, path: path + query, body: body(nil), password: "wrong", status: 401, names: "credentials"},
		"no credentials":      {method: http.MethodPut, path: path + query, body: body(nil), header: map[string]string{"Authorization": ""}, status: 401, names: "credentials"},
		"API of the past":     {method: http.MethodPut, path: path + query, body: body(nil), header: map[string]string{"X-Broker-API-Version": "1.9"}, status: 412, names: "X-Broker-API-Version"},
		"API of the future":   {method: http.MethodPut, path: path + query, body: body(nil), header: map[string]string{"X-Broker-API-Version": "3.0"}, status: 412, names: "X-Broker-API-Version"},
		"no API version":      {method: http.MethodPut, path: path + query, body: body(nil), header: map[string]string{"X-Broker-API-Version": ""}, status: 412, names: "X-Broker-API-Version"},
		"update of nothing":   {method: http.MethodPatch, path: path + query, body: body(nil), status: 404, names: "instance"},
		"bind to nothing":     {method: http.MethodPut, path: path + "/service_bindings/b", body: body(nil), status: 404, names: "instance"},
		"a method of nothing": {method: http.MethodPost, path: path + query, body: body(nil), status: 405, names: "POST"},
	} {
		t.Run(name, func(t *testing.T) { h.check(t, s) })
	}
	gone := hostile{method: http.MethodGet, path: path, status: 404, names: "instance"}
	gone.check(t, s)
	before := s.Status.Deployments
	s.Refresh()
	if !slices.Equal(before, s.Status.Deployments) {
		t.Errorf("deployments: %v before the refused requests, %v after", before, s.Status.Deployments)
	}
}

// check sends the request and looks at the answer.
func (h hostile) check(t *testing.T, s *stacktest.Stack) {
	t.Helper()
	var body io.Reader
	if h.body != "" {
		body = strings.NewReader(h.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), h.method, s.Access.URL+h.path, body)
	if err != nil {
		t.Fatal(err)
	}
	password := s.Access.Password
	if h.password != "" {
		password = h.password
	}
	req.SetBasicAuth(s.Access.Username, password)
	req.Header.Set("X-Broker-API-Version", osbclient.APIVersion)
	req.Header.Set("Content-Type", "application/json")
	for key, value := range h.header {
		if req.Header.Del(key); value != "" {
			req.Header.Set(key, value)
		}
	}
	res, err := (&http.Client{Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ Error, Description string }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatalf("the answer is no JSON: %v", err)
	}
	if res.StatusCode != h.status || answer.Error != h.code || !strings.Contains(answer.Description, h.names) {
		t.Errorf("got %d %+v, want %d %q and a word of %s", res.StatusCode, answer, h.status, h.code, h.names)
	}
}
