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
	return &demo{
		config: Config{Stack: stack.Config{Folder: stack.Folder(filepath.Join(t.TempDir(), "stack"))}, KeptLogs: filepath.Join(t.TempDir(), "log"), Out: out},
		begin:  time.Now(), instance: "i", binding: "b", broker: &osbclient.Broker{URL: server.URL, Username: "u", Password: secret.New("p")},
	}
}

func answer(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

func TestCatalogMustHaveThePlan(t *testing.T) {
	for catalog, found := range map[string]bool{
		`{"services": [{"name": "postgresql", "plans": [{"id": "p1", "name": "single-small"}]}]}`: true,
		`{"services": [{"name": "postgresql", "plans": [{"id": "p1", "name": "huge"}]}]}`:         false,
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
	err := d.step(t.Context(), "create it", func(ctx context.Context) error { return d.follow(ctx, osbclient.Started{Async: true}) })
	if err == nil || err.Error() != "create it: the operation failed: no room" {
		t.Errorf("got %v", err)
	}
	if len(d.timings) != 0 || !strings.Contains(out.String(), "create it") {
		t.Errorf("timings %v, output %q", d.timings, out.String())
	}
}

func TestPasswordIsNotShown(t *testing.T) {
	var out bytes.Buffer
	d := against(t, &out, answer(`{"credentials": {"host": "h", "port": 5432, "database": "app", "username": "u", "password": "hunter22", "uri": "postgresql://u:hunter22@h/app"}}`))
	if err := d.bind(t.Context()); err != nil {
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
	if err := d.refusedLogin(t.Context()); err == nil {
		t.Error("no credentials pass for refused ones")
	}
	d.credentials = map[string]any{"uri": "postgresql://u:p@127.0.0.1:1/app"}
	if err := d.refusedLogin(t.Context()); err == nil {
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
	if err := d.refusedConnection(t.Context()); err == nil {
		t.Error("credentials without hosts pass")
	}
	d.credentials = map[string]any{"hosts": []any{"127.0.0.1"}, "port": port}
	if err := d.refusedConnection(t.Context()); err == nil {
		t.Error("a server that answers passes for one that is gone")
	}
	listener.Close()
	if err := d.refusedConnection(t.Context()); err != nil {
		t.Errorf("nothing answers, but: %v", err)
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
