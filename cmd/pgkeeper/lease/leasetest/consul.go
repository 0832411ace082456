// Package leasetest starts real Consul servers for tests.
package leasetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
)

// MasterToken may do everything on the servers that Start starts.
const MasterToken = "11111111-2222-3333-4444-555555555555"

// Server is one Consul server with ACLs (default deny), a datacenter of its own.
type Server struct {
	Address string // HTTP
	DNS     string
	Client  *api.Client // with MasterToken

	t       testing.TB
	folder  string
	binary  string
	process *exec.Cmd
	log     bytes.Buffer
}

// Binary returns the Consul program: $HOLDFAST_CONSUL, or what boshrelease/consul.sh built.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("HOLDFAST_CONSUL"); path != "" {
		return path
	}
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		t.Fatalf("find the repository: %v", err)
	}
	out, err := exec.Command(filepath.Join(strings.TrimSpace(string(root)), "boshrelease", "consul.sh")).Output()
	if err != nil {
		t.Fatalf("no Consul: run boshrelease/consul.sh (5 minutes), or set HOLDFAST_CONSUL to a program: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// Start starts a server and waits until it leads.
func Start(t testing.TB) *Server {
	t.Helper()
	folder, err := os.MkdirTemp("", "keeper-consul-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	ports := freePorts(t, 6)
	config := map[string]any{
		"server": true, "bootstrap_expect": 1, "data_dir": folder + "/data", "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
		"domain": "holdfast.internal", "log_level": "WARN", "disable_update_check": true, "leave_on_terminate": false,
		"node_name": "consul-0",
		"ports": map[string]int{"http": ports[0], "dns": ports[1], "server": ports[2], "serf_lan": ports[3], "serf_wan": -1,
			"grpc": -1, "grpc_tls": -1},
		"performance": map[string]any{"raft_multiplier": 1},
		"acl":         map[string]any{"enabled": true, "default_policy": "deny", "tokens": map[string]string{"initial_management": MasterToken}},
		"dns_config":  map[string]any{"allow_stale": true, "max_stale": "10s"},
		"connect":     map[string]any{"enabled": false},
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder+"/consul.json", text, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{
		t: t, folder: folder, binary: Binary(t),
		Address: fmt.Sprintf("127.0.0.1:%d", ports[0]), DNS: fmt.Sprintf("127.0.0.1:%d", ports[1]),
	}
	s.Client, err = api.NewClient(&api.Config{Address: s.Address, Token: MasterToken, HttpClient: &http.Client{Timeout: 5 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	s.Resume()
	t.Cleanup(s.Stop)
	return s
}

// Resume starts the server, again after Stop, and waits until it leads.
func (s *Server) Resume() {
	s.t.Helper()
	s.process = exec.Command(s.binary, "agent", "-config-file", s.folder+"/consul.json")
	s.process.Stdout, s.process.Stderr = &s.log, &s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		s.t.Fatalf("start Consul: %v", err)
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		// A write shows that it leads and that the management token is known.
		_, err := s.Client.KV().Put(&api.KVPair{Key: "leasetest", Value: []byte("x")}, nil)
		if err == nil {
			return
		}
		if time.Since(began) > 60*time.Second {
			s.t.Fatalf("Consul does not answer: %v\n%s", err, &s.log)
		}
	}
}

// Stop kills the server; its data stay.
func (s *Server) Stop() {
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		s.process = nil
	}
}

// Freeze stops or continues the server's process, which then answers nothing.
func (s *Server) Freeze(frozen bool) {
	s.t.Helper()
	signal := syscall.SIGCONT
	if frozen {
		signal = syscall.SIGSTOP
	}
	if err := s.process.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// Token returns a token that may touch what a deployment's keepers need, and nothing else.
func (s *Server) Token(deployment string) string {
	s.t.Helper()
	rules := fmt.Sprintf(`key_prefix "holdfast/%[1]s/" { policy = "write" } node %[1]q { policy = "write" } service %[1]q { policy = "write" }`, deployment)
	policy, _, err := s.Client.ACL().PolicyCreate(&api.ACLPolicy{Name: "holdfast-" + deployment, Rules: rules}, nil)
	if err != nil {
		s.t.Fatalf("create a policy: %v", err)
	}
	token, _, err := s.Client.ACL().TokenCreate(&api.ACLToken{Policies: []*api.ACLLink{{ID: policy.ID}}}, nil)
	if err != nil {
		s.t.Fatalf("create a token: %v", err)
	}
	return token.SecretID
}

func freePorts(t testing.TB, count int) []int {
	t.Helper()
	var ports []int
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
