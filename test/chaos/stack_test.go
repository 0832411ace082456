package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos/client"
	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
	"github.com/holdfast-osb/holdfast/test/chaos/lab"
	"github.com/holdfast-osb/holdfast/test/chaos/report"
	"github.com/holdfast-osb/holdfast/test/stacktest"
)

const (
	// dnsTimeout is how long a client waits for one of the DNS servers.
	dnsTimeout = 500 * time.Millisecond
)

// order creates an instance of the setup's plan through the OSB API and binds it.
func order(t *testing.T, s *stacktest.Stack, setup report.Setup) *cluster.Cluster {
	t.Helper()
	if deployed(s) != "" {
		// A broken cluster may not let go of its logins; they end with it.
		if out, err := s.Try("unbind", "chaos"); err != nil {
			t.Logf("unbind: %v\n%s", err, out)
		}
		s.CLI("delete", "chaos")
	}
	args := []string{"create", "postgresql", setup.Plan, "chaos"}
	if setup.Replication != "none" {
		args = append(args, "-c", fmt.Sprintf(`{"replication": %q}`, setup.Replication))
	}
	s.CLI(args...)
	var credentials struct {
		Host     string   `json:"host"`
		Hosts    []string `json:"hosts"`
		Port     int      `json:"port"`
		Database string   `json:"database"`
		Username string   `json:"username"`
		Password string   `json:"password"`
	}
	if err := json.Unmarshal([]byte(s.CLI("bind", "chaos", "--json")), &credentials); err != nil {
		t.Fatal(err)
	}
	director, err := openDirector(s.Folder)
	if err != nil {
		t.Fatal(err)
	}
	name := deployed(s)
	if name == "" {
		t.Fatalf("no instance among the deployments %v", s.Status.Deployments)
	}
	c := &cluster.Cluster{
		Login: client.Login{Port: credentials.Port, Database: credentials.Database, Username: credentials.Username, Password: credentials.Password, SSLMode: "require"},
		Alias: credentials.Host, Hosts: credentials.Hosts, Names: client.Names{Timeout: dnsTimeout},
		Operator: operator{director, name}, Network: lab.NewNetwork(s.Status.Network.Name), DirectorDir: s.Folder.DirectorDir(),
	}
	if c.Nodes, err = nodes(director, name); err != nil {
		t.Fatal(err)
	}
	for i, address := range s.Status.Consul.Servers {
		c.Consul = append(c.Consul, cluster.Node{Name: fmt.Sprintf("consul/%d", i), Address: address})
		c.Names.Servers = append(c.Names.Servers, address+":53")
	}
	if rest, ok := strings.CutPrefix(c.Alias, "primary."); ok && len(c.Nodes) > 1 {
		c.ReplicaAlias = "replica." + rest
	}
	t.Cleanup(func() {
		if err := c.Network.Heal(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return c
}

// deployed names the one instance's deployment; empty: there is none.
func deployed(s *stacktest.Stack) string {
	s.Refresh()
	for _, name := range s.Status.Deployments {
		if strings.HasPrefix(name, "postgresql-") {
			return name
		}
	}
	return ""
}
