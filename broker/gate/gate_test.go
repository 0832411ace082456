package gate_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/broker/gate"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

func through(t *testing.T, cfg gate.Config, inner http.HandlerFunc) (*http.Response, string) {
	t.Helper()
	cfg.Username, cfg.Password = "user", secret.New("pass")
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	recorder := httptest.NewRecorder()
	req := httptest.NewRequest("GET", "/v2/catalog", nil)
	req.SetBasicAuth("user", "pass")
	req.Header.Set("X-Broker-API-Version", "2.17")
	gate.New(cfg, inner).ServeHTTP(recorder, req)
	body, err := io.ReadAll(recorder.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return recorder.Result(), string(body)
}

func TestWhateverIsBelowIsAnsweredInJSON(t *testing.T) {
	for name, c := range map[string]struct {
		inner  http.HandlerFunc
		status int
		body   string
	}{
		"an object": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"a":1}`) }, 200, `{"a":1}`},
		"text":      {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "raw text", 404) }, 404, `{"description":"Not Found"}` + "\n"},
		"nothing":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(405) }, 405, `{"description":"Method Not Allowed"}` + "\n"},
		"two statuses": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(201)
			w.WriteHeader(500)
			_, _ = io.WriteString(w, `{}`)
		}, 201, `{}`},
		"additional ones": {noted, 200, `{"a":1,"b":"<2>"}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			res, body := through(t, gate.Config{}, c.inner)
			if res.StatusCode != c.status || body != c.body || res.Header.Get("Content-Type") != "application/json" {
				t.Errorf("got %d %q %s; want %d %q as JSON", res.StatusCode, body, res.Header.Get("Content-Type"), c.status, c.body)
			}
		})
	}
}

func noted(w http.ResponseWriter, r *http.Request) {
	notes := gate.NotesOf(r.Context())
	notes.RetryAfter, notes.Members = 1500*time.Millisecond, map[string]any{"b": "<2>"}
	_, _ = io.WriteString(w, `{"a":1}`)
}

func TestRetryAfterIsInWholeSeconds(t *testing.T) {
	res, _ := through(t, gate.Config{}, noted)
	if got := res.Header.Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After: got %q, want 2", got)
	}
}

func TestPanic(t *testing.T) {
	var log bytes.Buffer
	res, body := through(t, gate.Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, func(http.ResponseWriter, *http.Request) { panic("the cause") })
	if res.StatusCode != 500 || strings.Contains(body, "the cause") || !strings.Contains(log.String(), "the cause") {
		t.Errorf("got %d %s, log %s", res.StatusCode, body, log.String())
	}
}

func TestUnknownErrorOfAdmitTellsNothing(t *testing.T) {
	cfg := gate.Config{Admit: func(context.Context, gate.Request) error { return errors.New("the cause") }}
	if res, body := through(t, cfg, noted); res.StatusCode != 500 || strings.Contains(body, "the cause") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}

func TestEmptyCredentialsAreADefect(t *testing.T) {
	for _, cfg := range []gate.Config{{}, {Username: "user"}, {Password: secret.New("pass")}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("an open broker with user %q", cfg.Username)
				}
			}()
			gate.New(cfg, http.NotFoundHandler())
		}()
	}
}
