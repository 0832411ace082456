package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// fakeBroker is an OSB broker with two plans whose operations end after a
// number of polls.
type fakeBroker struct {
	*httptest.Server

	mu        sync.Mutex
	polls     int               // how often an operation is still in progress
	failing   string            // why operations fail; empty: they succeed
	refusing  int               // the status that every change is refused with; 0: none
	instances map[string]string // id → plan
	bindings  map[string]string // id → parameters
	left      map[string]int    // instance → polls until its operation ends
	updates   []map[string]any
}

const fakeServices = `{"services": [{"id": "s1", "name": "kettle", "description": "boils", "plans": [
	{"id": "p1", "name": "small", "description": "one litre"}, {"id": "p2", "name": "large", "description": "two litres"}]}]}`

func newFakeBroker(t *testing.T) *fakeBroker {
	t.Helper()
	b := &fakeBroker{instances: map[string]string{}, bindings: map[string]string{}, left: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/catalog", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, fakeServices) })
	mux.HandleFunc("PUT /v2/service_instances/{id}", b.change)
	mux.HandleFunc("PATCH /v2/service_instances/{id}", b.change)
	mux.HandleFunc("DELETE /v2/service_instances/{id}", b.change)
	mux.HandleFunc("GET /v2/service_instances/{id}/last_operation", b.lastOperation)
	mux.HandleFunc("PUT /v2/service_instances/{id}/service_bindings/{binding}", b.bind)
	mux.HandleFunc("DELETE /v2/service_instances/{id}/service_bindings/{binding}", b.unbind)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if user, password, _ := r.BasicAuth(); user != "admin" || password != "open sesame" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"description": "who are you?"}`)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(b.Close)
	t.Setenv(envBrokerURL, b.URL)
	t.Setenv(envBrokerUsername, "admin")
	t.Setenv(envBrokerPassword, "open sesame")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	return b
}

func (b *fakeBroker) refuse(w http.ResponseWriter) bool {
	if b.refusing == 0 {
		return false
	}
	w.WriteHeader(b.refusing)
	fmt.Fprint(w, `{"description": "parameters.colour: is not a parameter"}`)
	return true
}

func (b *fakeBroker) change(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if b.refuse(w) {
		return
	}
	var body map[string]any
	if r.Method != http.MethodDelete {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	switch r.Method {
	case http.MethodPut:
		b.instances[id] = fmt.Sprint(body["plan_id"])
	case http.MethodPatch:
		b.updates = append(b.updates, body)
	case http.MethodDelete:
		delete(b.instances, id)
	}
	b.left[id] = b.polls
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"operation": "op-%s"}`, strings.ToLower(r.Method))
}

func (b *fakeBroker) lastOperation(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, exists := b.left[id]; !exists {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{}`)
		return
	}
	switch b.left[id]--; {
	case b.left[id] >= 0:
		fmt.Fprint(w, `{"state": "in progress", "description": "Boiling 1/2"}`)
	case b.failing != "":
		fmt.Fprintf(w, `{"state": "failed", "description": %q}`, b.failing)
	default:
		fmt.Fprint(w, `{"state": "succeeded", "description": "Done"}`)
	}
}

func (b *fakeBroker) bind(w http.ResponseWriter, r *http.Request) {
	if b.refuse(w) {
		return
	}
	var body struct {
		PlanID     string          `json:"plan_id"`
		Parameters json.RawMessage `json:"parameters"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.bindings[r.PathValue("binding")] = string(body.Parameters)
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"credentials": {"username": "u", "password": "p<&>", "port": 5432, "plan": %q, "ca": "line\nline"}}`, body.PlanID)
}

func (b *fakeBroker) unbind(w http.ResponseWriter, r *http.Request) {
	if b.refuse(w) {
		return
	}
	delete(b.bindings, r.PathValue("binding"))
	fmt.Fprint(w, `{}`)
}

// holdfast runs a command and returns its exit status and output.
func holdfast(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(args, &out, &errs)
	return status, out.String(), errs.String()
}

// must runs a command that succeeds without a word on stderr.
func must(t *testing.T, args ...string) string {
	t.Helper()
	status, stdout, stderr := holdfast(args...)
	if status != 0 || stderr != "" {
		t.Fatalf("holdfast %v: status %d\n%s%s", args, status, stdout, stderr)
	}
	return stdout
}

// fails runs a command that ends with status 1 and one line that holds want.
func fails(t *testing.T, want string, args ...string) {
	t.Helper()
	status, _, stderr := holdfast(args...)
	if status != 1 || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "holdfast: ") {
		t.Errorf("holdfast %v: status %d, stderr %q; want 1 and one line with %q", args, status, stderr, want)
	}
}
