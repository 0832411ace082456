package chaos_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
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

const (
	baselineDeployment = "baseline"
	deployLimit        = 10 * time.Minute
)

// deployBaseline deploys one of them with the stock bosh CLI.
func deployBaseline(t *testing.T, s *stacktest.Stack, setup report.Setup) *cluster.Cluster {
	t.Helper()
	bosh := boshCLI(t, s)
	bosh("--deployment", baselineDeployment, "delete-deployment", "--force")
	bosh("upload-release", boshRelease(t))
	gossip := make([]byte, 32)
	rand.Read(gossip) // never fails, by its documentation
	password := rand.Text()
	values := map[string]string{
		"gossip_key": base64.StdEncoding.EncodeToString(gossip), "password": password,
		"management_token": osbclient.NewID(), "server_token": osbclient.NewID(),
	}
	for name, value := range baselines[setup.System].variables {
		values[name] = value
	}
	args := []string{"--deployment", baselineDeployment, "deploy", filepath.Join("baseline", baselines[setup.System].manifest+".yml")}
	for name, value := range values {
		args = append(args, "--var", name+"="+value)
	}
	bosh(args...)
	c := openBaseline(t, s, password)
	if baselines[setup.System].manifest == "repmgr" {
		c.ReplicaAlias = "" // it has a name for the primary only
	}
	return c
}

func openBaseline(t *testing.T, s *stacktest.Stack, password string) *cluster.Cluster {
	t.Helper()
	director, err := openDirector(s.Folder)
	if err != nil {
		t.Fatal(err)
	}
	all, err := nodes(director, baselineDeployment)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster.Cluster{
		Login: client.Login{Port: 5432, Database: "postgres", Username: "postgres", Password: password, SSLMode: "disable"},
		Alias: "primary.baseline.service.holdfast.internal", ReplicaAlias: "replica.baseline.service.holdfast.internal",
		Names:    client.Names{Timeout: dnsTimeout},
		Operator: operator{director, baselineDeployment}, Network: lab.NewNetwork(s.Status.Network.Name), DirectorDir: s.Folder.DirectorDir(),
	}
	for _, node := range all {
		if strings.HasPrefix(node.Name, "consul/") {
			c.Consul = append(c.Consul, node)
			c.Names.Servers = append(c.Names.Servers, node.Address+":53")
			continue
		}
		c.Nodes = append(c.Nodes, node)
		c.Hosts = append(c.Hosts, node.Address)
	}
	return c
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
func boshCLI(t *testing.T, s *stacktest.Stack) func(args ...string) {
	t.Helper()
	access := directorAccess(t, s.Folder)
	home := t.TempDir()
	environment := append(os.Environ(), "BOSH_ENVIRONMENT=https://"+access.Address, "BOSH_CA_CERT="+s.Folder.DirectorCA(), "BOSH_CLIENT="+access.Username,
		"BOSH_CLIENT_SECRET="+access.Password, "BOSH_NON_INTERACTIVE=true", "BOSH_CONFIG="+filepath.Join(home, "config"), "HOME="+home)
	return func(args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), deployLimit)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Getenv("BOSH"), args...)
		var out bytes.Buffer
		cmd.Env, cmd.Stdout, cmd.Stderr = environment, &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("bosh %s: %v\n%s", args[0], err, out.String())
		}
	}
}
