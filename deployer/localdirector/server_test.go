package localdirector_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector"
)

// running is a director in this process.
type running struct {
	config  localdirector.Config
	address string
	stop    func() error
}

func start(t *testing.T, dir string) running {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the local director makes namespaces and links: run this test as root")
	}
	config := goodConfig()
	config.Dir, config.Listen, config.VMInit = dir, "127.0.0.1:0", []string{"/bin/false"}
	ready, ended := make(chan string, 1), make(chan error, 1)
	config.Ready = func(address string) { ready <- address }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- localdirector.Run(ctx, config, slog.New(slog.DiscardHandler)) }()
	r := running{config: config, stop: func() error {
		cancel()
		return <-ended
	}}
	select {
	case r.address = <-ready:
	case err := <-ended:
		cancel()
		t.Fatalf("the director did not start: %v", err)
	case <-time.After(30 * time.Second):
		cancel()
		t.Fatal("the director is not ready after 30 s")
	}
	return r
}

// info asks the director who it is, trusting its CA only.
func (r running) info(t *testing.T) (name, uuid, user string) {
	t.Helper()
	ca, err := os.ReadFile(localdirector.CAFile(r.config.Dir))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+r.address+"/info", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(r.config.Admin.Username, r.config.Admin.Password)
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var info struct{ Name, UUID, User string }
	if err := json.NewDecoder(answer.Body).Decode(&info); err != nil {
		t.Fatal(err)
	}
	return info.Name, info.UUID, info.User
}

func TestDirectorStartsStopsAndIsTheSameAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "director")
	t.Cleanup(func() {
		if err := localdirector.Destroy(context.Background(), dir, slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	})
	first := start(t, dir)
	name, uuid, user := first.info(t)
	if name != "holdfast" || uuid == "" || user != "admin" {
		t.Errorf("info: got %q %q %q", name, uuid, user)
	}
	stack, err := localdirector.ReadStack(dir)
	if err != nil || stack.Name == "" || !stack.Subnet.IsValid() {
		t.Errorf("stack: got %+v, %v", stack, err)
	}
	second := goodConfig()
	second.Dir, second.Listen = dir, "127.0.0.1:0"
	if err := localdirector.Run(t.Context(), second, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second director in one folder: got %v", err)
	}
	ca, err := os.ReadFile(localdirector.CAFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	if err := first.stop(); err != nil {
		t.Fatalf("stop: %v", err)
	}
	if conn, err := net.Dial("tcp", first.address); err == nil {
		t.Errorf("it still listens on %s", first.address)
		_ = conn.Close()
	}

	again := start(t, dir)
	if _, same, _ := again.info(t); same != uuid {
		t.Errorf("uuid after a restart: got %s, want %s", same, uuid)
	}
	if same, err := os.ReadFile(localdirector.CAFile(dir)); err != nil || string(same) != string(ca) {
		t.Errorf("the CA changed (%v)", err)
	}
	if err := again.stop(); err != nil {
		t.Fatalf("stop again: %v", err)
	}
}

func TestDestroyLeavesNothingAndTouchesNothingElse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "director")
	if err := start(t, dir).stop(); err != nil {
		t.Fatal(err)
	}
	stack, err := localdirector.ReadStack(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := localdirector.Destroy(t.Context(), dir, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the folder is there: %v", err)
		}
	}
	if _, err := net.InterfaceByName(stack.Bridge); err == nil {
		t.Errorf("the bridge %s is there", stack.Bridge)
	}

	other := t.TempDir()
	keep := filepath.Join(other, "tasks")
	if err := os.Mkdir(keep, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := localdirector.Destroy(t.Context(), other, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(keep); err != nil {
		t.Errorf("a folder that is no director's: %v", err)
	}
}

func TestRunRefusesABadConfiguration(t *testing.T) {
	config := goodConfig()
	config.Workers = 0
	err := localdirector.Run(t.Context(), config, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "workers: ") {
		t.Errorf("got %v", err)
	}
}
