package postgresql

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	consulapi "github.com/hashicorp/consul/api"

	"github.com/holdfast-osb/holdfast/internal/authority"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// consulServer is a real one on loopback, as the release runs it: ACLs deny by
// default, TLS only.
type consulServer struct {
	config ConsulConfig
	log    string
}

// sharedConsul is one for all tests that do not look at everything in it. TestMain
// ends it.
func sharedConsul(t *testing.T) *consulServer {
	t.Helper()
	if shared.server == nil {
		var err error
		if shared.folder, err = os.MkdirTemp("", "holdfast-consul-"); err != nil {
			t.Fatal(err)
		}
		shared.server, shared.end = launchConsul(t, shared.folder)
	}
	return shared.server
}

var shared struct {
	server *consulServer
	folder string
	end    func()
}

func TestMain(m *testing.M) {
	status := m.Run()
	if shared.end != nil {
		shared.end()
	}
	os.RemoveAll(shared.folder) // of the test that could not make it: none
	os.Exit(status)
}

// startConsul is one for this test alone.
func startConsul(t *testing.T) *consulServer {
	t.Helper()
	server, end := launchConsul(t, t.TempDir())
	t.Cleanup(end)
	return server
}

func launchConsul(t *testing.T, dir string) (server *consulServer, end func()) {
	t.Helper()
	output, err := exec.Command("../../boshrelease/consul.sh").Output()
	if err != nil {
		t.Fatalf("build Consul: %v", err)
	}
	const name = "server.dc1.holdfast.internal"
	ca, err := authority.New("test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue(name, []string{name}, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	port, management := freePort(t), uuid.NewString()
	settings, err := json.Marshal(map[string]any{
		"server": true, "bootstrap_expect": 1, "bind_addr": "127.0.0.1", "domain": "holdfast.internal", "data_dir": filepath.Join(dir, "data"),
		"ports":       map[string]any{"https": port, "http": -1, "dns": -1, "grpc": -1, "grpc_tls": -1, "serf_wan": -1, "serf_lan": freePort(t), "server": freePort(t)},
		"tls":         map[string]any{"defaults": map[string]any{"ca_file": file("ca", ca.Certificate), "cert_file": file("crt", pair.Certificate), "key_file": file("key", pair.Key)}},
		"acl":         map[string]any{"enabled": true, "default_policy": "deny", "tokens": map[string]any{"initial_management": management}},
		"performance": map[string]any{"raft_multiplier": 1}, "disable_update_check": true,
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(strings.TrimSpace(string(output)), "agent", "-config-file", file("consul.json", string(settings)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		cmd.Process.Kill()
		cmd.Wait()
		log.Close()
	}
	s := &consulServer{log: log.Name(), config: ConsulConfig{
		Addresses: []string{fmt.Sprintf("127.0.0.1:%d", port)}, ServerName: name, CACert: ca.Certificate, Token: secret.New(management),
	}}
	eventually(t, "Consul has a leader and its management token", func() error {
		_, _, err := s.client(t, management).ACL().PolicyList(nil)
		return err
	})
	return s, end
}

// client bears a token.
func (s *consulServer) client(t *testing.T, token string) *consulapi.Client {
	t.Helper()
	config := s.config
	config.Token = secret.New(token)
	made, err := newConsul(config)
	if err != nil {
		t.Fatal(err)
	}
	return made.servers[0]
}

func (s *consulServer) management(t *testing.T) *consulapi.Client {
	return s.client(t, s.config.Token.Reveal())
}

// register puts a deployment's alias, as its keeper does.
func register(client *consulapi.Client, node, service string) error {
	return registerAt(client, node, "10.0.0.7", service)
}

func registerAt(client *consulapi.Client, node, address, service string) error {
	_, err := client.Catalog().Register(&consulapi.CatalogRegistration{
		Node: node, Address: address,
		Service: &consulapi.AgentService{ID: service + "-primary", Service: service, Tags: []string{"primary"}, Address: address, Port: 5432},
	}, nil)
	return err
}

func put(client *consulapi.Client, key string) error {
	_, err := client.KV().Put(&consulapi.KVPair{Key: key, Value: []byte("x")}, nil)
	return err
}

// transact writes a key in a transaction, the keepers' way.
func transact(ctx context.Context, client *consulapi.Client, key string) error {
	ok, answer, _, err := client.Txn().Txn(consulapi.TxnOps{{KV: &consulapi.KVTxnOp{Verb: consulapi.KVSet, Key: key, Value: []byte("x")}}}, (&consulapi.QueryOptions{}).WithContext(ctx))
	if err == nil && !ok {
		err = fmt.Errorf("refused: %v", answer.Errors[0].What)
	}
	return err
}
