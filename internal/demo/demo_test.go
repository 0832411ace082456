package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/internal/stack"
)

// against makes a demo whose stack is a broker of the test's own.
func against(t *testing.T, out *bytes.Buffer, broker http.HandlerFunc) *demo {
	t.Helper()
	server := httptest.NewServer(broker)
	t.Cleanup(server.Close)
	d := newDemo(Config{Stack: stack.Config{Folder: stack.Folder(filepath.Join(t.TempDir(), "stack"))}, KeptLogs: filepath.Join(t.TempDir(), "log"), Out: out})
	d.broker = &osbclient.Broker{URL: server.URL, Username: "u", Password: secret.New("p")}
	d.lookup = func(_ context.Context, host string) ([]string, error) {
		if host == "gone" {
			return nil, &net.DNSError{Name: host, IsNotFound: true}
		}
		return []string{"127.0.0.1"}, nil
	}
	return d
}

func answer(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

func TestCatalogMustHaveThePlans(t *testing.T) {
	for catalog, found := range map[string]bool{
		`{"services": [{"name": "postgresql", "plans": [{"id": "p1", "name": "single-small"}, {"id": "p2", "name": "cluster-small"}]}]}`: true,
		`{"services": [{"name": "postgresql", "plans": [{"id": "p1", "name": "single-small"}]}]}`:                                        false,
		`{"services": [{"name": "postgresql", "plans": [{"id": "p1", "name": "huge"}]}]}`:                                                false,
		`{"services": []}`: false,
	} {
		d := against(t, new(bytes.Buffer), answer(catalog))
		if err := d.readCatalog(t.Context()); (err == nil) != found {
			t.Errorf("%s: got %v", catalog, err)
		}
	}
}

func TestFailedOperationEndsTheDemo(t *testing.T) {
	var out bytes.Buffer
	d := against(t, &out, answer(`{"state": "failed", "description": "no room"}`))
	err := d.step(t.Context(), "create it", func(ctx context.Context) error { return d.follow(ctx, d.single, osbclient.Started{Async: true}, "") })
	if err == nil || err.Error() != "create it: the operation failed: no room" {
		t.Errorf("got %v", err)
	}
	if len(d.timings) != 0 || !strings.Contains(out.String(), "create it") {
		t.Errorf("timings %v, output %q", d.timings, out.String())
	}
}

func TestPasswordIsNotShown(t *testing.T) {
	var out bytes.Buffer
	d := against(t, &out, answer(`{"credentials": {"host": "h", "hosts": ["h"], "port": 5432, "database": "app", "username": "u", "password": "hunter22", "uri": "postgresql://u:hunter22@h/app"}}`))
	if err := d.bind(t.Context(), d.single); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter22") || !strings.Contains(out.String(), "8 characters") {
		t.Errorf("bind shows\n%s", out.String())
	}
}

// A login that fails for any other reason than the server's refusal is no
// proof that the binding is gone.
func TestRefusalMustBeTheServers(t *testing.T) {
	d := against(t, new(bytes.Buffer), answer("{}"))
	if err := d.refusedLogin(t.Context(), d.single); err == nil {
		t.Error("no credentials pass for refused ones")
	}
	d.single.credentials = map[string]any{"uri": "postgresql://u:p@127.0.0.1:1/app"}
	if err := d.refusedLogin(t.Context(), d.single); err == nil {
		t.Error("a server that is away passes for one that refuses")
	}
}

func TestServerMustBeGone(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, text, _ := net.SplitHostPort(listener.Addr().String())
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	d := against(t, new(bytes.Buffer), answer("{}"))
	if err := d.gone(t.Context(), d.single); err == nil {
		t.Error("an instance whose nodes are not known passes")
	}
	d.single.nodes = []node{{"node-0", "127.0.0.1"}}
	d.single.credentials = map[string]any{"host": "gone", "port": port}
	if err := d.gone(t.Context(), d.single); err == nil {
		t.Error("a server that answers passes for one that is gone")
	}
	listener.Close()
	if err := d.gone(t.Context(), d.single); err != nil {
		t.Errorf("nothing answers, but: %v", err)
	}
	d.single.credentials["host"] = "there"
	if err := d.gone(t.Context(), d.single); err == nil {
		t.Error("a name that is known passes for one that is gone")
	}
}

// A cluster that fails to come up ends the demo with its reason, and the
// background with the demo.
func TestClusterThatDoesNotComeUp(t *testing.T) {
	var out bytes.Buffer
	d := against(t, &out, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusAccepted)
		}
		fmt.Fprint(w, `{"state": "failed", "description": "no room"}`)
	})
	if err := d.orderCluster(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.awaitBoth(t.Context()); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
	d.endBackground()
	running, end := context.WithCancel(t.Context())
	d = against(t, &out, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusAccepted)
		}
		fmt.Fprint(w, `{"state": "in progress"}`)
	})
	if err := d.orderCluster(running); err != nil {
		t.Fatal(err)
	}
	end()
	d.endBackground()
}

// Deleting goes on while the cluster is waited for, and its failure counts.
func TestDeletionThatFailsInTheBackground(t *testing.T) {
	var out bytes.Buffer
	d := against(t, &out, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusAccepted)
		}
		fmt.Fprint(w, `{"state": "failed", "description": "the director is away"}`)
	})
	if err := d.removeSingle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.awaitBoth(t.Context()); err == nil || !strings.Contains(err.Error(), "the director is away") {
		t.Errorf("got %v", err)
	}
	if err := d.awaitBoth(t.Context()); err != nil {
		t.Errorf("nothing goes on any more, but: %v", err)
	}
}

func TestOutage(t *testing.T) {
	moment := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	acks := []ack{
		{id: 1, session: 1, at: moment(10)},
		{id: 2, session: 1, at: moment(120)}, // under way when it happened
	}
	if _, _, over := outage(acks, 1); over {
		t.Error("the outage is over before anything else was acknowledged")
	}
	acks = append(acks, ack{id: 9, session: 2, at: moment(720)}, ack{id: 10, session: 2, at: moment(770)})
	if got, first, over := outage(acks, 1); !over || got != 600*time.Millisecond || first.id != 9 {
		t.Errorf("got %s, %+v, want 600ms", got, first)
	}
	if got := missing(acks, map[int64]bool{1: true, 9: true, 10: true, 11: true}); got != 1 {
		t.Errorf("got %d missing rows, want 1", got)
	}
}

func TestLogsOfAFailureAreKept(t *testing.T) {
	d := against(t, new(bytes.Buffer), answer("{}"))
	cause := errors.New("no room")
	if err := d.keepLogs(cause); err != cause {
		t.Errorf("without logs: got %v", err)
	}
	logs := d.config.Stack.Folder.LogDir()
	if err := os.MkdirAll(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(logs, "broker.log"), []byte("why"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := d.keepLogs(cause)
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), d.config.KeptLogs) {
		t.Errorf("got %v, want the cause and where the logs are", err)
	}
	if content, err := os.ReadFile(filepath.Join(d.config.KeptLogs, "broker.log")); err != nil || string(content) != "why" {
		t.Errorf("kept %q, %v", content, err)
	}
}

func TestDemoThatCannotStartLeavesNothing(t *testing.T) {
	folder := stack.Folder(filepath.Join(t.TempDir(), "stack"))
	timings, err := Run(t.Context(), Config{Stack: stack.Config{Folder: folder, Stemcell: "/does/not/exist"}, Out: new(bytes.Buffer)})
	if err == nil || len(timings) != 0 {
		t.Errorf("got %v, %v", timings, err)
	}
	if _, err := os.Stat(string(folder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
}
