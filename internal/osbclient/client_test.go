package osbclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

func broker(t *testing.T, f http.HandlerFunc) *Broker {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return &Broker{URL: server.URL + "/", Username: "admin", Password: secret.New("open sesame")}
}

func TestRequests(t *testing.T) {
	var got string
	b := broker(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "admin" || password != "open sesame" || r.Header.Get("X-Broker-API-Version") != "2.17" {
			t.Errorf("%s: user %q, headers %v", r.URL, user, r.Header)
		}
		got = r.Method + " " + r.URL.RequestURI()
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"operation": "op1", "services": [{"id": "s"}], "credentials": {"uri": "u"}}`)
	})
	ctx := t.Context()
	for want, call := range map[string]func() (any, error){
		"GET /v2/catalog": func() (any, error) { return b.Catalog(ctx) },
		"PUT /v2/service_instances/a%2Fb?accepts_incomplete=true": func() (any, error) {
			return b.Provision(ctx, "a/b", InstanceRequest{})
		},
		"PATCH /v2/service_instances/i?accepts_incomplete=true": func() (any, error) { return b.Update(ctx, "i", InstanceRequest{}) },
		"DELETE /v2/service_instances/i?accepts_incomplete=true&plan_id=p&service_id=s": func() (any, error) {
			return b.Deprovision(ctx, "i", "s", "p")
		},
		"GET /v2/service_instances/i/last_operation?operation=op1&plan_id=p&service_id=s": func() (any, error) {
			return b.LastOperation(ctx, "i", "s", "p", "op1")
		},
		"PUT /v2/service_instances/i/service_bindings/b": func() (any, error) { return b.Bind(ctx, "i", "b", BindRequest{}) },
		"DELETE /v2/service_instances/i/service_bindings/b?plan_id=p&service_id=s": func() (any, error) {
			return nil, b.Unbind(ctx, "i", "b", "s", "p")
		},
	} {
		answer, err := call()
		if err != nil || got != want {
			t.Errorf("asked %s (%v), want %s", got, err, want)
		}
		if started, ok := answer.(Started); ok && (!started.Async || started.Operation != "op1") {
			t.Errorf("%s: %+v", want, started)
		}
	}
}

func TestErrors(t *testing.T) {
	for want, answer := range map[string]struct {
		status int
		body   string
	}{
		"say please (422 AsyncRequired)": {422, `{"error": "AsyncRequired", "description": "say please"}`},
		"Bad Gateway (502)":              {502, `{}`},
		"<html>no</html> (500)":          {500, "<html>no</html>\n"},
	} {
		b := broker(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(answer.status)
			fmt.Fprint(w, answer.body)
		})
		_, err := b.Catalog(t.Context())
		var failure *Error
		if !errors.As(err, &failure) || failure.Status != answer.status || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// 410 means that it is gone already, which is what was wanted.
func TestGoneIsDone(t *testing.T) {
	b := broker(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusGone)
		fmt.Fprint(w, "{}")
	})
	if started, err := b.Deprovision(t.Context(), "i", "s", "p"); err != nil || started.Async {
		t.Errorf("deprovision: %+v, %v", started, err)
	}
	if err := b.Unbind(t.Context(), "i", "b", "s", "p"); err != nil {
		t.Errorf("unbind: %v", err)
	}
	if last, err := b.LastOperation(t.Context(), "i", "s", "p", ""); err != nil || last.State != "succeeded" {
		t.Errorf("last operation: %+v, %v", last, err)
	}
}

func TestWaitRidesOutFaults(t *testing.T) {
	polls := 0
	b := broker(t, func(w http.ResponseWriter, _ *http.Request) {
		polls++
		switch polls {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			fmt.Fprint(w, `{"state": "in progress", "description": "half"}`)
		default:
			fmt.Fprint(w, `{"state": "failed", "description": "no water"}`)
		}
	})
	var said []string
	last, err := b.Wait(t.Context(), "i", "s", "p", "", func(last LastOperation) { said = append(said, last.Description) })
	if err != nil || last.State != "failed" || last.Description != "no water" || len(said) != 1 || said[0] != "half" {
		t.Errorf("got %+v, %v; said %v", last, err, said)
	}
}

func TestWaitGivesUp(t *testing.T) {
	refusing := broker(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	var failure *Error
	if _, err := refusing.Wait(t.Context(), "i", "s", "p", "", nil); !errors.As(err, &failure) || failure.Status != http.StatusNotFound {
		t.Errorf("a refusal: got %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	busy := broker(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		fmt.Fprint(w, `{"state": "in progress"}`)
	})
	if _, err := busy.Wait(ctx, "i", "s", "p", "", func(last LastOperation) {
		if last.RetryAfter != time.Hour {
			t.Errorf("retry after %s, want what the broker asks for", last.RetryAfter)
		}
		stop()
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: got %v", err)
	}
}

func TestPasswordIsNotPrinted(t *testing.T) {
	b := Broker{URL: "http://127.0.0.1:1", Username: "admin", Password: secret.New("hunter22")}
	_, err := b.Catalog(t.Context())
	for _, text := range []string{fmt.Sprintf("%v %+v", b, &b), fmt.Sprint(err)} {
		if regexp.MustCompile("hunter22").MatchString(text) {
			t.Errorf("the password is in %s", text)
		}
	}
}

func TestNewID(t *testing.T) {
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	a, b := NewID(), NewID()
	if a == b || !uuid.MatchString(a) || !uuid.MatchString(b) {
		t.Errorf("ids %s and %s", a, b)
	}
}
