package bosh

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

// uaaDirector is a director that takes the tokens of a UAA: only the last one.
type uaaDirector struct {
	mu       sync.Mutex
	issued   int
	valid    string
	lifetime int
	uaa      string
}

func (d *uaaDirector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch r.URL.Path {
	case "/info":
		var user any
		if r.Header.Get("Authorization") == "bearer "+d.valid {
			user = "holdfast"
		}
		json.NewEncoder(w).Encode(map[string]any{"user": user, "user_authentication": map[string]any{"type": "uaa", "options": map[string]any{"url": d.uaa}}})
	case "/oauth/token":
		client, password, _ := r.BasicAuth()
		if client != "holdfast" || password != "client%2Bsecret" || r.FormValue("grant_type") != "client_credentials" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		d.issued++
		d.valid = fmt.Sprint("token-", d.issued)
		json.NewEncoder(w).Encode(map[string]any{"access_token": d.valid, "expires_in": d.lifetime})
	case "/deployments":
		if r.Header.Get("Authorization") != "bearer "+d.valid {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "[]")
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func uaaService(t *testing.T, d *uaaDirector, password string) *Service {
	t.Helper()
	server := httptest.NewTLSServer(d)
	t.Cleanup(server.Close)
	if d.uaa == "" {
		d.uaa = server.URL
	}
	cfg := Defaults()
	cfg.URL, cfg.Client, cfg.ClientSecret = server.URL, "holdfast", secret.New(password)
	cfg.CACert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	s, err := New(cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestUAATokens(t *testing.T) {
	d := &uaaDirector{lifetime: 3600}
	s := uaaService(t, d, "client+secret")
	for range 3 {
		if _, err := s.Deployments(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if d.issued != 1 {
		t.Errorf("%d tokens for three requests", d.issued)
	}
	d.mu.Lock()
	d.valid = "revoked"
	d.mu.Unlock()
	if _, err := s.Deployments(t.Context()); err != nil || d.issued != 2 {
		t.Errorf("after the token was revoked: got %v with %d tokens", err, d.issued)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
}

func TestUAATokensExpire(t *testing.T) {
	d := &uaaDirector{lifetime: 0}
	s := uaaService(t, d, "client+secret")
	for range 2 {
		if _, err := s.Deployments(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if d.issued != 2 {
		t.Errorf("%d tokens for two requests", d.issued)
	}
}

func TestUAARefusals(t *testing.T) {
	s := uaaService(t, &uaaDirector{}, "wrong-secret")
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "get a token for client holdfast") || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("wrong secret: got %v", err)
	}
	s = uaaService(t, &uaaDirector{uaa: "http://10.0.0.6:8443"}, "client+secret")
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "not by a UAA over https") {
		t.Errorf("plain http: got %v", err)
	}
}
