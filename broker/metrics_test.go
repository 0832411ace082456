package broker_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOperationsHandler(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	server := httptest.NewServer(h.broker.Operations())
	defer server.Close()
	get := func(path string) string {
		res, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("GET %s: %d %s, %v", path, res.StatusCode, body, err)
		}
		return string(body)
	}
	if got := get("/healthz"); got != "ok\n" {
		t.Errorf("/healthz: got %q", got)
	}
	metrics := get("/metrics")
	for _, line := range []string{
		`holdfast_broker_operations{kind="create",state="succeeded"} 1`,
		`holdfast_broker_operation_seconds_count{kind="create",state="succeeded"} 1`,
		`holdfast_broker_request_seconds_count{status="202",verb="provision"} 1`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("/metrics does not have %s", line)
		}
	}
	if strings.Contains(metrics, "i1") {
		t.Error("/metrics holds an instance's id")
	}
}
