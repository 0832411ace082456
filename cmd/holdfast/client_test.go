package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLifeOfAnInstance(t *testing.T) {
	b := newFakeBroker(t)
	b.polls = 1
	if out := must(t, "services"); !strings.Contains(out, "kettle") || !strings.Contains(out, "two litres") {
		t.Errorf("services shows\n%s", out)
	}
	out := must(t, "create", "kettle", "small", "tea", "-c", `{"heat": 3}`)
	if !strings.Contains(out, "50 %  Boiling") || !strings.Contains(out, "OK  create of tea succeeded") {
		t.Errorf("create shows\n%s", out)
	}
	out = must(t, "bind", "tea")
	if !strings.Contains(out, "p<&>") || !strings.Contains(out, "(9 bytes; --json shows it)") {
		t.Errorf("bind shows\n%s", out)
	}
	must(t, "bind", "tea", "reader", "-c", `{"read_only": true}`)
	if len(b.bindings) != 2 {
		t.Errorf("bindings at the broker: %v", b.bindings)
	}
	must(t, "bind", "tea", "reader", "-c", `{"read_only": true}`)
	if len(b.bindings) != 2 {
		t.Errorf("the same name again made another binding: %v", b.bindings)
	}
	must(t, "update", "tea", "--plan", "large", "-c", `{"heat": 4}`)
	if len(b.updates) != 1 || b.updates[0]["plan_id"] != "p2" {
		t.Errorf("updates at the broker: %v", b.updates)
	}
	if out := must(t, "list"); !strings.Contains(out, "large") || !strings.Contains(out, "succeeded") {
		t.Errorf("list shows\n%s", out)
	}
	must(t, "unbind", "tea", "reader")
	must(t, "delete", "tea")
	if len(b.instances)+len(b.bindings) != 0 {
		t.Errorf("left at the broker: %v %v", b.instances, b.bindings)
	}
	fails(t, `no instance is called "tea"`, "bind", "tea")
}

func TestJSONOutput(t *testing.T) {
	newFakeBroker(t)
	for _, args := range [][]string{
		{"services"}, {"list"}, {"create", "kettle", "small", "tea"}, {"list"}, {"bind", "tea"},
		{"update", "tea", "--plan", "large"}, {"unbind", "tea"}, {"delete", "tea"},
	} {
		out := must(t, append(args, "--json")...)
		if !json.Valid([]byte(out)) || strings.TrimSpace(out) == "null" {
			t.Errorf("holdfast %v --json prints\n%s", args, out)
		}
	}
}

func TestWrongInput(t *testing.T) {
	b := newFakeBroker(t)
	must(t, "create", "kettle", "small", "tea")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"usage: holdfast create SERVICE PLAN NAME", []string{"create", "kettle"}},
		{"usage: holdfast bind NAME [BINDING]", []string{"bind"}},
		{`no service "pot"`, []string{"create", "pot", "small", "x"}},
		{`no plan "huge"`, []string{"create", "kettle", "huge", "x"}},
		{`"tea" exists already`, []string{"create", "kettle", "small", "tea"}},
		{"must be a JSON object", []string{"create", "kettle", "small", "x", "-c", "[1]"}},
		{"must be a JSON object", []string{"create", "kettle", "small", "x", "-c", "null"}},
		{"-c: not JSON", []string{"create", "kettle", "small", "x", "-c", "{oops"}},
		{"-c: open /does/not/exist", []string{"create", "kettle", "small", "x", "-c", "@/does/not/exist"}},
		{"nothing to update", []string{"update", "tea"}},
		{`no plan "huge"`, []string{"update", "tea", "--plan", "huge"}},
		{`tea has no binding "x"`, []string{"unbind", "tea", "x"}},
		{`no instance is called "x"`, []string{"delete", "x"}},
		{`unknown command "bogus"`, []string{"bogus"}},
		{`no data service is called "mysql"`, []string{"spi", "mysql"}},
	} {
		fails(t, c.want, c.args...)
	}
	if len(b.instances) != 1 {
		t.Errorf("instances at the broker: %v, want only the first", b.instances)
	}
}

func TestRefusalLeavesNoName(t *testing.T) {
	b := newFakeBroker(t)
	b.refusing = http.StatusBadRequest
	fails(t, "parameters.colour: is not a parameter (400)", "create", "kettle", "small", "tea", "-c", `{"colour": 1}`)
	b.refusing = 0
	must(t, "create", "kettle", "small", "tea")
	b.refusing = http.StatusUnprocessableEntity
	fails(t, "(422)", "bind", "tea")
	fails(t, `has no binding "default"`, "unbind", "tea")
}

func TestLostAnswerKeepsTheName(t *testing.T) {
	b := newFakeBroker(t)
	b.refusing = http.StatusInternalServerError
	fails(t, "remove it with `holdfast delete tea`", "create", "kettle", "small", "tea")
	b.refusing = 0
	must(t, "delete", "tea")
}

func TestFailedOperation(t *testing.T) {
	b := newFakeBroker(t)
	must(t, "create", "kettle", "small", "tea")
	b.failing = "No water."
	fails(t, "update of tea failed: No water.", "update", "tea", "--plan", "large")
	if out := must(t, "bind", "tea", "--json"); !strings.Contains(out, `"plan": "p1"`) {
		t.Errorf("after a failed move the client names another plan:\n%s", out)
	}
	status, out, stderr := holdfast("update", "tea", "--plan", "large", "--json")
	if status != 1 || stderr != "" || !strings.Contains(out, `"state": "failed"`) {
		t.Errorf("failed update with --json: status %d\n%s%s", status, out, stderr)
	}
}

// A client that was stopped while it waited for an update learns of its end.
func TestUpdateNobodyWaitedFor(t *testing.T) {
	newFakeBroker(t)
	must(t, "create", "kettle", "small", "tea")
	must(t, "update", "tea", "--plan", "large")
	path := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "holdfast", "names.json")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content = []byte(strings.Replace(string(content), `"plan_id": "p2"`, `"plan_id": "p1", "moves_to": {"id": "p2", "name": "large"}`, 1))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "bind", "tea", "--json"); !strings.Contains(out, `"plan": "p2"`) {
		t.Errorf("the client binds with the plan of before the update:\n%s", out)
	}
}

func TestReachingABroker(t *testing.T) {
	newFakeBroker(t)
	t.Setenv(envBrokerPassword, "wrong")
	fails(t, "who are you? (401)", "services")
	t.Setenv(envBrokerPassword, "")
	fails(t, "set $HOLDFAST_BROKER_USERNAME and $HOLDFAST_BROKER_PASSWORD", "services")
	t.Setenv(envBrokerPassword, "x")
	fails(t, "reach the broker http://127.0.0.1:1: dial tcp", "services", "--broker", "http://127.0.0.1:1")
	t.Setenv(envBrokerURL, "")
	fails(t, "start one with `holdfast up`", "services", "--state", t.TempDir())
}
