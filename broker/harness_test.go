package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/broker"
	"github.com/holdfast-osb/holdfast/broker/brokertest"
	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/logging"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
	"github.com/holdfast-osb/holdfast/store"
	"github.com/holdfast-osb/holdfast/store/sqlite"
)

const (
	username = "platform"
	password = "platform-password"
	// patience bounds every wait of these tests; they end long before.
	patience = 20 * time.Second
)

// harness is a broker that runs on stand-ins for what is behind it.
type harness struct {
	t        *testing.T
	kettles  *brokertest.Kettles
	director *brokertest.Director
	store    store.Store
	path     string
	ring     *store.Keyring
	broker   *broker.Broker
	server   *httptest.Server
	log      *logBuffer
	stop     func()
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// tail is what of the log helps to understand a failed test.
func (l *logBuffer) tail() string {
	var lines []string
	for _, line := range strings.Split(l.String(), "\n") {
		if !strings.Contains(line, `"level":"DEBUG"`) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

func testConfig() broker.Config {
	cfg := broker.DefaultConfig()
	cfg.Username, cfg.Password = username, secret.New(password)
	cfg.Operation.Lease, cfg.Operation.Idle = time.Second, 20*time.Millisecond
	return cfg
}

type brokerConfig = broker.Config

type option func(h *harness, cfg *broker.Config, services map[string]spi.Service)

// start runs a broker on an empty store.
func start(t *testing.T, options ...option) *harness {
	t.Helper()
	ring, err := store.NewKeyring([]store.Key{{ID: "k1", Value: secret.New(store.NewKey())}})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, kettles: brokertest.NewKettles(brokertest.KettleCatalog()), director: brokertest.NewDirector(10 * time.Millisecond),
		path: filepath.Join(t.TempDir(), "broker.db"), ring: ring, log: &logBuffer{}}
	h.run(options...)
	return h
}

// run starts a broker process on the harness's store.
func (h *harness) run(options ...option) {
	h.t.Helper()
	cfg := testConfig()
	services := map[string]spi.Service{"kettles": h.kettles}
	s, err := sqlite.Open(context.Background(), h.path, h.ring, sqlite.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.store = s
	for _, o := range options {
		o(h, &cfg, services)
	}
	var d deployer.Service = h.director
	h.broker, err = broker.New(cfg, h.store, services, d, logging.New(h.log, "broker", slog.LevelDebug))
	if err != nil {
		h.t.Fatal(err)
	}
	h.server = httptest.NewServer(h.broker.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.broker.Run(ctx) }()
	var once sync.Once
	h.stop = func() {
		once.Do(func() {
			h.server.Close()
			cancel()
			if err := <-done; err != nil {
				h.t.Errorf("Run: %v", err)
			}
			if err := s.Close(); err != nil {
				h.t.Errorf("Close: %v", err)
			}
		})
	}
	h.t.Cleanup(h.stop)
	h.eventually("the broker is ready", func() bool { return h.do("GET", "/v2/catalog", nil).status == http.StatusOK })
}

// eventually polls until it is true.
func (h *harness) eventually(what string, is func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: not within %s\n%s", what, patience, h.log.tail())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// response is an answer; its body was JSON or the test fails.
type response struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

func (r response) text(member string) string {
	s, _ := r.body[member].(string)
	return s
}

type edit func(*http.Request)

func header(name, value string) edit {
	return func(r *http.Request) {
		if value == "" {
			r.Header.Del(name)
			return
		}
		r.Header.Set(name, value)
	}
}

// do sends a request. body may be nil, a string (sent as it is) or a value.
func (h *harness) do(method, path string, body any, edits ...edit) response {
	h.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			h.t.Fatal(err)
		}
		reader = bytes.NewReader(encoded)
	}
	req, err := http.NewRequest(method, h.server.URL+path, reader)
	if err != nil {
		h.t.Fatal(err)
	}
	req.SetBasicAuth(username, password)
	req.Header.Set("X-Broker-API-Version", "2.17")
	req.Header.Set("Content-Type", "application/json")
	for _, e := range edits {
		e(req)
	}
	res, err := h.server.Client().Do(req)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	out := response{status: res.StatusCode, header: res.Header, raw: string(raw)}
	if method != http.MethodHead {
		if err := json.Unmarshal(raw, &out.body); err != nil || res.Header.Get("Content-Type") != "application/json" {
			h.t.Errorf("%s %s: %d with content type %q and body %q, want a JSON object", method, path, res.StatusCode, res.Header.Get("Content-Type"), raw)
		}
	}
	return out
}

type object = map[string]any

func provisionBody(changes object) object {
	body := object{"service_id": brokertest.KettleService, "plan_id": brokertest.KettleSmall, "organization_guid": "org-1", "space_guid": "space-1",
		"context": object{"platform": "test"}, "parameters": object{"litres": 2}}
	for name, value := range changes {
		body[name] = value
		if value == nil {
			delete(body, name)
		}
	}
	return body
}

const async = "?accepts_incomplete=true"

func instancePath(id string) string { return "/v2/service_instances/" + id }

func bindingPath(id, binding string) string { return instancePath(id) + "/service_bindings/" + binding }

var deleteQuery = "service_id=" + brokertest.KettleService + "&plan_id=" + brokertest.KettleSmall

func (h *harness) want(what string, got response, status int) response {
	h.t.Helper()
	if got.status != status {
		h.t.Fatalf("%s: got %d %s, want %d\n%s", what, got.status, got.raw, status, h.log.tail())
	}
	return got
}

// wait polls an operation until it ends and returns the last answer.
func (h *harness) wait(id, operation string) response {
	h.t.Helper()
	var last response
	h.eventually("operation "+operation+" ends", func() bool {
		last = h.want("last_operation", h.do("GET", instancePath(id)+"/last_operation?operation="+operation, nil), http.StatusOK)
		return last.text("state") != "in progress"
	})
	return last
}

func (h *harness) finish(what, id string, accepted response, state string) response {
	h.t.Helper()
	h.want(what, accepted, http.StatusAccepted)
	last := h.wait(id, accepted.text("operation"))
	if last.text("state") != state {
		h.t.Fatalf("%s: ended as %s, want %s\n%s", what, last.raw, state, h.log.tail())
	}
	return last
}

// provision makes an instance and waits for it.
func (h *harness) provision(id string, changes object) {
	h.t.Helper()
	h.finish("provision "+id, id, h.do("PUT", instancePath(id)+async, provisionBody(changes)), "succeeded")
}

func (h *harness) deprovision(id string) {
	h.t.Helper()
	h.finish("deprovision "+id, id, h.do("DELETE", instancePath(id)+async+"&"+deleteQuery, nil), "succeeded")
}

func bindBody(changes object) object {
	body := object{"service_id": brokertest.KettleService, "plan_id": brokertest.KettleSmall, "bind_resource": object{"app_guid": "app-1"}}
	for name, value := range changes {
		body[name] = value
	}
	return body
}

func (h *harness) instance(id string) store.Instance {
	h.t.Helper()
	in, err := h.store.Instance(context.Background(), id)
	if err != nil {
		h.t.Fatalf("Instance(%s): %v", id, err)
	}
	return in
}

// nothing checks that nothing is left of any instance.
func (h *harness) nothing(when string) {
	h.t.Helper()
	if names, left := h.director.Names(), h.kettles.Left(); len(names)+len(left) > 0 {
		h.t.Errorf("%s: deployments %v and outside %v are left", when, names, left)
	}
}

func uuid(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }
