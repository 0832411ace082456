package agent_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudfoundry/bosh-agent/v2/agentclient"
	"github.com/cloudfoundry/bosh-agent/v2/agentclient/applyspec"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
)

// bus is an agent's message bus with the tasks it keeps.
type bus struct {
	mu        sync.Mutex
	password  string
	sync      map[string]any // method → value
	async     map[string]any // method → value once the task is done
	fail      map[string]string
	polls     int    // how often a task says running
	polled    func() // called when a task is asked for
	noCancel  bool
	cancelled bool
	drop      map[string]int // method → requests that get no answer
	forget    int            // how many tasks the agent does not know any more
	seen      []string
	blobs     map[string][]byte
}

func (b *bus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, password, _ := r.BasicAuth(); password != b.password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if id, ok := strings.CutPrefix(r.URL.Path, "/blobs/"); ok {
		b.serveBlob(w, r, id)
		return
	}
	var in struct {
		Protocol  int
		Method    string
		Arguments []any
		ReplyTo   string `json:"reply_to"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Protocol != 3 || in.ReplyTo == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.seen = append(b.seen, in.Method)
	if b.drop[in.Method] > 0 {
		b.drop[in.Method]--
		panic(http.ErrAbortHandler)
	}
	_ = json.NewEncoder(w).Encode(b.answer(in.Method, in.Arguments))
}

func (b *bus) answer(method string, arguments []any) map[string]any {
	running := func(m string) map[string]any {
		return map[string]any{"value": map[string]any{"agent_task_id": m, "state": "running"}}
	}
	switch {
	case method == "get_task":
		m := arguments[0].(string)
		if b.polled != nil {
			b.polled()
		}
		if b.forget > 0 {
			b.forget--
			return map[string]any{"exception": map[string]any{"message": "Action Failed get_task: Task with id " + m + " could not be found"}}
		}
		if b.polls--; b.polls > 0 && !b.cancelled {
			return running(m)
		}
		if text, bad := b.fail[m]; bad {
			return map[string]any{"exception": map[string]any{"message": "Action Failed get_task: Task 1 result: " + text}}
		}
		return map[string]any{"value": b.async[m]}
	case method == "cancel_task" && b.noCancel:
		return map[string]any{"exception": map[string]any{"message": "not supported"}}
	case method == "cancel_task":
		b.cancelled = true
		return map[string]any{"value": "canceled"}
	}
	if value, ok := b.sync[method]; ok {
		return map[string]any{"value": value}
	}
	if _, ok := b.async[method]; ok || b.fail[method] != "" {
		return running(method)
	}
	return map[string]any{"exception": map[string]any{"message": "unknown message " + method}}
}

func (b *bus) serveBlob(w http.ResponseWriter, r *http.Request, id string) {
	switch r.Method {
	case http.MethodPut:
		b.blobs[id], _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
	case http.MethodGet:
		content, ok := b.blobs[id]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(content)
	}
}

func (b *bus) count(method string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, m := range b.seen {
		if m == method {
			n++
		}
	}
	return n
}

func (b *bus) start(t *testing.T, options agent.Options) (*agent.Client, agent.Endpoint, *httptest.Server) {
	t.Helper()
	b.password, b.blobs = "s3cret-password", map[string][]byte{}
	server := httptest.NewUnstartedServer(b)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	e := agent.Endpoint{Address: server.Listener.Addr().String(), User: "mbus", Password: b.password, CA: string(ca)}
	if options.PollInterval == 0 {
		options.PollInterval = time.Millisecond
	}
	c, err := agent.New(e, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, e, server
}

func TestTasksAreAwaited(t *testing.T) {
	b := &bus{polls: 3, async: map[string]any{"stop": "stopped", "run_errand": map[string]any{"stdout": "out", "exit_code": 3}}}
	c, _, _ := b.start(t, agent.Options{})
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.count("get_task"); got != 3 {
		t.Errorf("the task was polled %d times, want 3", got)
	}
	result, err := c.RunErrand(t.Context(), "smoke")
	if err != nil || result.ExitCode != 3 || result.Stdout != "out" {
		t.Errorf("errand: %+v, %v", result, err)
	}
}

func TestErrorsCarryTheAgentsText(t *testing.T) {
	b := &bus{fail: map[string]string{"run_script": "1 of 1 pre-start scripts failed. Failed Jobs: web."}}
	c, _, _ := b.start(t, agent.Options{})
	err := c.RunScript(t.Context(), "pre-start", nil)
	refused, ok := errors.AsType[*agent.Error](err)
	if !ok || refused.Method != "get_task" || err.Error() != "Action Failed get_task: Task 1 result: 1 of 1 pre-start scripts failed. Failed Jobs: web." {
		t.Errorf("got %#v", err)
	}
	if _, ok := errors.AsType[*agent.Error](c.UnmountDisk(t.Context(), "x")); !ok {
		t.Error("an unknown message is no *agent.Error")
	}
}

func TestContextEndsATask(t *testing.T) {
	b := &bus{polls: 1 << 30, async: map[string]any{"run_errand": map[string]any{"stdout": "got TERM", "exit_code": 143}}}
	c, _, _ := b.start(t, agent.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	b.polled = cancel
	result, err := c.RunErrand(ctx, "smoke")
	if !errors.Is(err, context.Canceled) || result.ExitCode != 143 || !b.cancelled {
		t.Errorf("got %+v, %v; told to cancel: %v", result, err, b.cancelled)
	}
}

func TestContextEndsATaskThatCannotBeCancelled(t *testing.T) {
	b := &bus{polls: 1 << 30, noCancel: true, async: map[string]any{"stop": ""}}
	c, _, _ := b.start(t, agent.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := c.Stop(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
}

func TestOnlyRepeatableMessagesAreSentAgain(t *testing.T) {
	b := &bus{
		sync: map[string]any{"get_state": map[string]any{"job_state": "running"}, "start": "started"}, async: map[string]any{"stop": "stopped"},
		drop: map[string]int{"get_state": 2, "stop": 1, "start": 1, "get_task": 2},
	}
	c, _, _ := b.start(t, agent.Options{ReplyTimeout: 5 * time.Second})
	state, err := c.State(t.Context())
	if err != nil || state.JobState != "running" || b.count("get_state") < 3 {
		t.Errorf("get_state with lost answers: %+v, %v, sent %d times", state, err, b.count("get_state"))
	}
	for name, send := range map[string]func(context.Context) error{"stop": c.Stop, "start": c.Start} {
		lost, ok := errors.AsType[*agent.TimeoutError](send(t.Context()))
		if !ok || lost.Method != name || b.count(name) != 1 {
			t.Errorf("%s with a lost answer: %v, sent %d times", name, lost, b.count(name))
		}
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Errorf("lost answers to get_task: %v", err)
	}
}

// TestForgottenTask: an agent that ended while it worked on a message, or before it
// answered, and runs again gets those messages once more that may be repeated.
func TestForgottenTask(t *testing.T) {
	b := &bus{async: map[string]any{"apply": "applied", "stop": "stopped"}, forget: 2}
	c, _, _ := b.start(t, agent.Options{})
	if err := c.Apply(t.Context(), applyspec.ApplySpec{}); err != nil || b.count("apply") != 3 {
		t.Errorf("apply, forgotten twice: %v, sent %d times, want 3", err, b.count("apply"))
	}
	b.forget = 1
	if err := c.Stop(t.Context()); err == nil || b.count("stop") != 1 {
		t.Errorf("stop, forgotten: %v, sent %d times, want an error and 1", err, b.count("stop"))
	}
	b.drop = map[string]int{"apply": 2}
	if err := c.Apply(t.Context(), applyspec.ApplySpec{}); err != nil || b.count("apply") != 6 {
		t.Errorf("apply, the agent ended twice before it answered: %v, sent %d times in all, want 6", err, b.count("apply"))
	}
	b.forget = 100
	if err := c.Apply(t.Context(), applyspec.ApplySpec{}); err == nil || !strings.Contains(err.Error(), "could not be found") {
		t.Errorf("apply, always forgotten: got %v", err)
	}
}

func TestUnreachableAgentTimesOut(t *testing.T) {
	b := &bus{}
	c, _, server := b.start(t, agent.Options{ReplyTimeout: 200 * time.Millisecond})
	server.Close()
	start := time.Now()
	err := c.Stop(t.Context())
	lost, ok := errors.AsType[*agent.TimeoutError](err)
	if !ok || lost.Method != "stop" || lost.After != 200*time.Millisecond || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.WaitReady(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for it: %v", err)
	}
}

func TestSilentAgentTimesOut(t *testing.T) {
	b := &bus{sync: map[string]any{"ping": "pong"}}
	c, _, _ := b.start(t, agent.Options{RequestTimeout: 100 * time.Millisecond, ReplyTimeout: 300 * time.Millisecond})
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.mu.Lock() // from here on it takes requests and never answers
	defer b.mu.Unlock()
	if _, err := c.State(t.Context()); err == nil {
		t.Error("a silent agent answered")
	} else if _, ok := errors.AsType[*agent.TimeoutError](err); !ok {
		t.Errorf("got %v, want a TimeoutError", err)
	}
}

func TestWrongPasswordIsNotTriedAgain(t *testing.T) {
	b := &bus{sync: map[string]any{"ping": "pong"}}
	_, e, _ := b.start(t, agent.Options{})
	e.Password = "wrong-password"
	c, err := agent.New(e, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = c.WaitReady(t.Context())
	if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), e.Password) {
		t.Errorf("got %v, want 401 and no password", err)
	}
	e.CA = "nonsense"
	if _, err := agent.New(e, agent.Options{}); err == nil {
		t.Error("a CA that is none was accepted")
	}
}

func TestProxyVariablesAreIgnored(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("https_proxy", "http://127.0.0.1:1")
	b := &bus{sync: map[string]any{"ping": "pong"}}
	c, _, _ := b.start(t, agent.Options{})
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEndpointHidesItsPassword(t *testing.T) {
	e := agent.Endpoint{Address: "10.0.0.1:6868", User: "u", Password: "s3cret"}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "endpoint", e)
	wrapped := struct{ E agent.Endpoint }{e}
	text := fmt.Sprintf("%v %+v %#v %s %v %+v", e, e, e, e, wrapped, &wrapped) + log.String()
	if strings.Contains(text, "s3cret") || !strings.Contains(text, "10.0.0.1") {
		t.Error(text)
	}
}

func TestBlobs(t *testing.T) {
	b := &bus{sync: map[string]any{"remove_file": ""}}
	c, _, _ := b.start(t, agent.Options{})
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := os.WriteFile(from, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	id, err := c.PutBlob(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.GetBlob(t.Context(), id, to); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(to); string(got) != "content" {
		t.Errorf("got %q back", got)
	}
	if err := c.DeleteBlob(t.Context(), id); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "..", "../x", "a/b"} {
		if err := c.DeleteBlob(t.Context(), bad); err == nil || b.count("remove_file") != 1 {
			t.Errorf("deleting blob %q: %v", bad, err)
		}
	}
	missing := filepath.Join(dir, "missing")
	if err := c.GetBlob(t.Context(), "unknown", missing); err == nil {
		t.Error("an unknown blob was downloaded")
	}
	if left, _ := filepath.Glob(dir + "/*"); len(left) != 2 {
		t.Errorf("left in the folder: %v", left)
	}
}

func TestCompiledPackage(t *testing.T) {
	b := &bus{async: map[string]any{"compile_package": map[string]any{"result": map[string]any{"blobstore_id": "b1", "sha1": "d1"}}}}
	c, _, _ := b.start(t, agent.Options{})
	got, err := c.CompilePackage(t.Context(), agentclient.BlobRef{Name: "p", Version: "1"}, nil)
	if want := (agentclient.BlobRef{Name: "p", Version: "1", SHA1: "d1", BlobstoreID: "b1"}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	b.async["compile_package"] = "nonsense"
	if _, err := c.CompilePackage(t.Context(), agentclient.BlobRef{Name: "p"}, nil); err == nil {
		t.Error("nonsense was taken for a result")
	}
}
