package jsonhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

var token = secret.New("t0ken")

// serve answers every call with f, behind the token, and logs into log.
func serve(t *testing.T, log io.Writer, f Func) *Client {
	t.Helper()
	logger := slog.New(slog.NewJSONHandler(log, nil))
	server := httptest.NewServer(RequireToken(token, Recover(logger, Handle(logger, f))))
	t.Cleanup(server.Close)
	client, err := NewClient(server.URL+"/", token, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestCall(t *testing.T) {
	var path string
	client := serve(t, io.Discard, func(r *http.Request) (int, any, error) {
		path = r.URL.EscapedPath()
		var in struct{ N int }
		if err := Decode(r, &in); err != nil {
			return 0, nil, err
		}
		return http.StatusAccepted, map[string]int{"twice": 2 * in.N}, nil
	})
	var out struct{ Twice int }
	status, err := client.Do(t.Context(), http.MethodPut, []string{"v1", "a/b c"}, map[string]int{"n": 21}, &out)
	if err != nil || status != http.StatusAccepted || out.Twice != 42 {
		t.Errorf("got %d, %+v, %v", status, out, err)
	}
	if path != "/v1/a%2Fb%20c" {
		t.Errorf("path %s: its elements must be escaped", path)
	}
}

// Each kind, the field and the reference survive the wire; the cause stays.
func TestFaultsKeepTheirKind(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Invalid, fault.NotFound, fault.Conflict, fault.Forbidden, fault.Unauthorized, fault.Unavailable, fault.Internal} {
		t.Run(string(kind), func(t *testing.T) {
			var log bytes.Buffer
			client := serve(t, &log, func(*http.Request) (int, any, error) {
				return 0, nil, fmt.Errorf("wrapped: %w", &fault.Error{Kind: kind, Field: "parameters.n", User: "not so", Cause: errors.New("the cause")})
			})
			_, err := client.Do(t.Context(), http.MethodGet, nil, nil, nil)
			got := fault.From(err)
			if got.Kind != kind || got.User != "not so" || got.Field != "parameters.n" || strings.Contains(err.Error(), "the cause") {
				t.Errorf("got %+v", got)
			}
			logged := kind == fault.Internal || kind == fault.Unavailable
			if (got.Reference != "") != logged {
				t.Errorf("reference %q", got.Reference)
			}
			if logged && (!strings.Contains(log.String(), got.Reference) || !strings.Contains(log.String(), "the cause")) {
				t.Errorf("the log lacks the reference or the cause: %s", log.String())
			}
		})
	}
}

func TestUnclassifiedErrorsStayInside(t *testing.T) {
	for name, f := range map[string]Func{
		"error": func(*http.Request) (int, any, error) { return 0, nil, errors.New("hunter22") },
		"panic": func(*http.Request) (int, any, error) { panic("hunter22") },
	} {
		var log bytes.Buffer
		_, err := serve(t, &log, f).Do(t.Context(), http.MethodGet, nil, nil, nil)
		if !fault.Is(err, fault.Internal) || strings.Contains(err.Error(), "hunter22") || !strings.Contains(log.String(), "hunter22") {
			t.Errorf("%s: got %v; log %s", name, err, log.String())
		}
	}
}

func TestTokenIsWanted(t *testing.T) {
	client := serve(t, io.Discard, func(*http.Request) (int, any, error) { return http.StatusOK, nil, nil })
	for _, header := range []string{"", "Bearer ", "Bearer wrong", "t0ken", "Basic t0ken"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, client.base.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", header)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var body wireFault
		err = json.NewDecoder(res.Body).Decode(&body)
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized || err != nil || body.Kind != fault.Unauthorized {
			t.Errorf("%q: got %d %+v %v", header, res.StatusCode, body, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("an empty token makes a handler")
		}
	}()
	RequireToken(secret.Secret{}, http.NotFoundHandler())
}

func TestDecodeIsStrict(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"right":         {`{"n": 1} `, ""},
		"unknown field": {`{"m": 1}`, `unknown field "m"`},
		"wrong type":    {`{"n": "x"}`, "cannot unmarshal"},
		"trailing":      {`{"n": 1} {}`, "goes on"},
		"empty":         {"", "EOF"},
		"too large":     {`{"s": "` + strings.Repeat("x", MaxBody) + `"}`, "larger than"},
	} {
		var in struct {
			N int
			S string
		}
		err := Decode(httptest.NewRequest(http.MethodPut, "/", strings.NewReader(c.body)), &in)
		if c.want == "" && err != nil || c.want != "" && (!fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want Invalid with %q", name, err, c.want)
		}
	}
}

// Whatever answers that is not this API is no reason to give up for good.
func TestStrangeServers(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   fault.Kind
	}{
		"a proxy's page": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "<html>")
		}, fault.Unavailable},
		"a 404 of another server": {http.NotFound, fault.Unavailable},
		"no JSON":                 {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }, fault.Internal},
		"too much": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "%q", strings.Repeat("x", MaxBody))
		}, fault.Internal},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, fault.Unavailable},
	} {
		server := httptest.NewServer(c.answer)
		client, err := NewClient(server.URL, token, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var out any
		if _, err := client.Do(t.Context(), http.MethodGet, nil, nil, &out); !fault.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
		client.Close()
		server.Close()
		if _, err := client.Do(t.Context(), http.MethodGet, nil, nil, &out); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s, gone: got %v, want %s", name, err, fault.Unavailable)
		}
	}
}

func TestNewClientRefuses(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:80", "ftp://x", "http://", "://"} {
		if _, err := NewClient(url, token, time.Second); err == nil {
			t.Errorf("%q is taken for a URL", url)
		}
	}
	if _, err := NewClient("http://x", secret.Secret{}, time.Second); err == nil {
		t.Error("a client without a token is made")
	}
}
