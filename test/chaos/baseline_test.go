package chaos_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/client"
	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
	"github.com/holdfast-osb/holdfast/test/chaos/lab"
	"github.com/holdfast-osb/holdfast/test/chaos/report"
	"github.com/holdfast-osb/holdfast/test/stacktest"
)

// baselines are the other ways to keep a cluster alive that Holdfast is
// measured beside: on the same VMs, with the same Consul and clients.
var baselines = map[string]struct {
	manifest    string
	replication string
	variables   map[string]string
}{
	"patroni":        {"patroni", "async", map[string]string{"ttl": "30", "loop_wait": "10", "retry_timeout": "10", "synchronous": "false"}},
	"patroni-tuned":  {"patroni", "async", map[string]string{"ttl": "20", "loop_wait": "1", "retry_timeout": "3", "synchronous": "false"}},
	"repmgr":         {"repmgr", "async", map[string]string{"reconnect_attempts": "6", "reconnect_interval": "10", "monitor_interval": "2", "visibility_consensus": "false"}},
	"repmgr-tuned":   {"repmgr", "async", map[string]string{"reconnect_attempts": "2", "reconnect_interval": "1", "monitor_interval": "1", "visibility_consensus": "true"}},
	"patroni-strict": {"patroni", "sync", map[string]string{"ttl": "20", "loop_wait": "1", "retry_timeout": "3", "synchronous": "true"}},
}

const deployLimit = 10 * time.Minute

// deploy deploys one of them with the stock bosh CLI, on the stack's Consul.
func (b *bed) deploy(_ context.Context, setup report.Setup, name string) (*cluster.Cluster, func() error, error) {
	remove := func() error { return b.bosh("--deployment", name, "delete-deployment", "--force") }
	kind, password := baselines[setup.System], rand.Text()
	variables, err := b.variables(name, password)
	if err != nil {
		return nil, nil, err
	}
	args := []string{"--deployment", name, "deploy", filepath.Join("baseline", kind.manifest+".yml"), "--vars-file", variables}
	for variable, value := range kind.variables {
		args = append(args, "--var", variable+"="+value)
	}
	if err := b.bosh(args...); err != nil {
		return nil, remove, err
	}
	c, err := b.cluster(name)
	if err != nil {
		return nil, remove, err
	}
	c.Login = client.Login{Port: 5432, Database: "postgres", Username: "postgres", Password: password, SSLMode: "disable"}
	c.Alias = "primary." + name + ".service.holdfast.internal"
	for _, node := range c.Nodes {
		c.Hosts = append(c.Hosts, node.Address)
	}
	if kind.manifest == "repmgr" { // it has a name for the primary only, and its switchover needs SSH
		c.Parts.Keeper = func(p lab.Process) bool { return p.Name == "repmgrd" }
		c.Repair = func(ctx context.Context) error { return cloneAstray(ctx, c) }
		return c, remove, nil
	}
	c.ReplicaAlias = "replica." + name + ".service.holdfast.internal"
	c.Parts.Keeper = func(p lab.Process) bool {
		return slices.ContainsFunc(p.Args, func(arg string) bool { return strings.HasSuffix(arg, "/usr/bin/patroni") })
	}
	c.Switchover = patroniSwitchover
	return c, remove, nil
}

// variables writes the file of a deployment's variables that are the stack's,
// or secret.
func (b *bed) variables(name, password string) (string, error) {
	var settings struct {
		Consul struct {
			CA, Certificate struct{ Certificate, Key string }
			GossipKey       string   `json:"gossip_key"`
			ManagementToken string   `json:"management_token"`
			Addresses       []string `json:"addresses"`
		} `json:"consul"`
	}
	content, err := os.ReadFile(filepath.Join(string(b.stack.Folder), "settings.json"))
	if err == nil {
		err = json.Unmarshal(content, &settings)
	}
	if err != nil {
		return "", fmt.Errorf("read the stack's settings: %w", err)
	}
	consul := settings.Consul
	text, err := json.Marshal(map[string]any{"name": name, "password": password, "consul": map[string]any{
		"servers": consul.Addresses, "token": consul.ManagementToken, "gossip_key": consul.GossipKey,
		"tls": map[string]string{"ca": consul.CA.Certificate, "certificate": consul.Certificate.Certificate, "private_key": consul.Certificate.Key},
	}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.t.TempDir(), name+".json")
	return path, os.WriteFile(path, text, 0o600)
}

// cloneAstray does what repmgr leaves to its operator: the nodes that do not
// follow the primary are made anew from it.
func cloneAstray(ctx context.Context, c *cluster.Cluster) error {
	astray, err := c.Astray(ctx)
	if err != nil {
		return err
	}
	for _, node := range astray {
		if err := c.Operator.Stop(ctx, node); err != nil {
			return err
		}
		vm, err := c.VM(node)
		if err != nil {
			return err
		}
		if err := errors.Join(vm.Erase("/var/vcap/store/repmgr-alone"), c.Operator.Start(ctx, node)); err != nil {
			return err
		}
	}
	return nil
}

// patroniSwitchover asks Patroni, which answers when it has happened.
func patroniSwitchover(ctx context.Context, primary cluster.Node) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	body := fmt.Sprintf(`{"leader": "node-%s"}`, strings.TrimPrefix(primary.Name, "postgresql/"))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+net.JoinHostPort(primary.Address, "8008")+"/switchover", strings.NewReader(body))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask Patroni: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("patroni answers %s: %s", res.Status, text)
	}
	return err
}

// boshRelease builds the baselines' release and returns its tarball.
func boshRelease(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "baseline/build.sh").Output()
	if err != nil {
		t.Fatalf("build the baselines' release: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// boshCLI returns a function that runs the stock CLI against the stack's director.
func boshCLI(t *testing.T, s *stacktest.Stack) func(args ...string) error {
	t.Helper()
	access := directorAccess(t, s.Folder)
	home := t.TempDir()
	environment := append(os.Environ(), "BOSH_ENVIRONMENT=https://"+access.Address, "BOSH_CA_CERT="+s.Folder.DirectorCA(), "BOSH_CLIENT="+access.Username,
		"BOSH_CLIENT_SECRET="+access.Password, "BOSH_NON_INTERACTIVE=true", "BOSH_CONFIG="+filepath.Join(home, "config"), "HOME="+home)
	return func(args ...string) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), deployLimit)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Getenv("BOSH"), args...)
		var out bytes.Buffer
		cmd.Env, cmd.Stdout, cmd.Stderr = environment, &out, &out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("bosh %s: %w\n%s", strings.Join(args, " "), err, out.String())
		}
		return nil
	}
}
