package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/store"
)

func TestRepeatedBind(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	cups := bindBody(object{"parameters": object{"cups": 2}})
	first := h.want("bind", h.do("PUT", bindingPath("i1", "b1"), cups), http.StatusCreated)
	again := h.want("bind again", h.do("PUT", bindingPath("i1", "b1"), cups), http.StatusOK)
	if first.raw != again.raw {
		t.Errorf("other credentials: %s and %s", first.raw, again.raw)
	}
	for name, changes := range map[string]object{
		"other parameters": {"parameters": object{"cups": 3}},
		"no parameters":    {},
		"another app":      {"parameters": object{"cups": 2}, "bind_resource": object{"app_guid": "app-2"}},
	} {
		h.want(name, h.do("PUT", bindingPath("i1", "b1"), bindBody(changes)), http.StatusConflict)
	}
	old := bindBody(object{"parameters": object{"cups": 2}, "app_guid": "app-1"})
	delete(old, "bind_resource")
	h.want("the app in its old place", h.do("PUT", bindingPath("i1", "b1"), old), http.StatusOK)
}

func TestConcurrentIdenticalBinds(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	const n = 10
	answers := make(chan response, n)
	for range n {
		go func() { answers <- h.do("PUT", bindingPath("i1", "b1"), bindBody(nil)) }()
	}
	raw := map[string]bool{}
	for range n {
		got := <-answers
		// 422 ConcurrencyError: another request completed the row a moment ago.
		if got.status == http.StatusUnprocessableEntity && got.text("error") == "ConcurrencyError" {
			continue
		}
		if got.status != http.StatusCreated && got.status != http.StatusOK {
			t.Errorf("got %d %s", got.status, got.raw)
		}
		raw[got.raw] = true
	}
	if len(raw) != 1 {
		t.Errorf("%d different credentials", len(raw))
	}
}

func TestBindWhenTheServiceIsAway(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	h.kettles.Up(func(string) bool { return false })
	got := h.want("bind", h.do("PUT", bindingPath("i1", "b1"), bindBody(nil)), http.StatusServiceUnavailable)
	if got.header.Get("Retry-After") == "" || !strings.Contains(got.text("description"), "reference") {
		t.Errorf("got %s with Retry-After %q", got.raw, got.header.Get("Retry-After"))
	}
	h.want("fetch", h.do("GET", bindingPath("i1", "b1"), nil), http.StatusNotFound)
	h.want("unbind", h.do("DELETE", bindingPath("i1", "b1")+"?"+deleteQuery, nil), http.StatusServiceUnavailable)
	h.want("bind during the unbind", h.do("PUT", bindingPath("i1", "b1"), bindBody(nil)), http.StatusUnprocessableEntity)
	h.kettles.Up(nil)
	h.want("unbind again", h.do("DELETE", bindingPath("i1", "b1")+"?"+deleteQuery, nil), http.StatusOK)
	h.want("bind", h.do("PUT", bindingPath("i1", "b1"), bindBody(nil)), http.StatusCreated)
}

// An interrupted bind is completed by its repetition or removed by an unbind.
func TestInterruptedBind(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	h.kettles.After(func(_ context.Context, call, _ string) error {
		if call == "bind" {
			return fault.New(fault.Unavailable, "the answer was lost")
		}
		return nil
	})
	for _, id := range []string{"b1", "b2"} {
		h.want("bind", h.do("PUT", bindingPath("i1", id), bindBody(nil)), http.StatusServiceUnavailable)
	}
	h.kettles.After(nil)
	h.want("bind again", h.do("PUT", bindingPath("i1", "b1"), bindBody(nil)), http.StatusCreated)
	h.want("fetch", h.do("GET", bindingPath("i1", "b1"), nil), http.StatusOK)
	h.want("unbind", h.do("DELETE", bindingPath("i1", "b2")+"?"+deleteQuery, nil), http.StatusOK)
	if h.kettles.Bound("i1", "b2") {
		t.Error("the service still knows the binding")
	}
}

// A platform that hangs up does not leave half a binding.
func TestBindGoesOnWithoutTheClient(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	began, release := make(chan struct{}), make(chan struct{})
	h.kettles.Before(func(ctx context.Context, call, _ string) error {
		if call == "bind" {
			close(began)
			<-release
		}
		return ctx.Err()
	})
	encoded, err := json.Marshal(bindBody(nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "PUT", h.server.URL+bindingPath("i1", "b1"), bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(username, password)
	req.Header.Set("X-Broker-API-Version", "2.17")
	done := make(chan struct{})
	go func() {
		defer close(done)
		if res, err := h.server.Client().Do(req); err == nil {
			res.Body.Close()
			t.Error("the request was answered before the client hung up")
		}
	}()
	<-began
	hangUp()
	<-done
	close(release)
	h.eventually("the binding is ready", func() bool {
		b, err := h.store.Binding(context.Background(), "i1", "b1")
		return err == nil && b.State == store.BindingReady
	})
}

func TestBindFindsMovedNodes(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	name := h.instance("i1").Deployment
	h.director.Move(name, "10.9.9.9")
	tries := 0
	h.kettles.Up(func(string) bool { tries++; return tries > 1 })
	bound := h.want("bind", h.do("PUT", bindingPath("i1", "b1"), bindBody(nil)), http.StatusCreated)
	if host := bound.body["credentials"].(object)["host"]; host != "10.9.9.9" {
		t.Errorf("host %v, want the node's new address", host)
	}
	if nodes := h.instance("i1").Nodes; len(nodes) != 1 || nodes[0].Address != "10.9.9.9" {
		t.Errorf("the store has nodes %v", nodes)
	}
}

func TestLostBindingIsNotFetched(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	h.want("bind", h.do("PUT", bindingPath("i1", "b1"), bindBody(nil)), http.StatusCreated)
	h.kettles.Before(func(ctx context.Context, call, _ string) error {
		if call == "credentials" {
			return fault.New(fault.NotFound, "the binding is unknown")
		}
		return ctx.Err()
	})
	h.want("fetch", h.do("GET", bindingPath("i1", "b1"), nil), http.StatusNotFound)
}

func TestRequiresApp(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	h.kettles.Before(func(ctx context.Context, call, _ string) error {
		if call == "bind" {
			return fault.InvalidField("app_guid", "only apps can be bound")
		}
		return ctx.Err()
	})
	if got := h.want("bind", h.do("PUT", bindingPath("i1", "b1"), bindBody(nil)), http.StatusUnprocessableEntity); got.text("error") != "RequiresApp" {
		t.Errorf("got %s", got.raw)
	}
}

func TestBindIsFast(t *testing.T) {
	h := start(t)
	h.provision("i1", nil)
	begin := time.Now()
	const n = 50
	for i := range n {
		h.want("bind", h.do("PUT", bindingPath("i1", uuid(i)), bindBody(nil)), http.StatusCreated)
	}
	each := time.Since(begin) / n
	t.Logf("a bind costs %s beside the SPI's work", each)
	if each > 100*time.Millisecond {
		t.Errorf("a bind costs %s, want little", each)
	}
}
