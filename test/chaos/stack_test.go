package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-osb/holdfast/test/chaos"
	"github.com/holdfast-osb/holdfast/test/chaos/client"
	"github.com/holdfast-osb/holdfast/test/chaos/cluster"
	"github.com/holdfast-osb/holdfast/test/chaos/lab"
	"github.com/holdfast-osb/holdfast/test/chaos/report"
)

// dnsTimeout is how long a client waits for one of the DNS servers.
const dnsTimeout = 500 * time.Millisecond

// open readies what the lanes share.
func (b *bed) open(orders []chaos.Order) {
	b.t.Helper()
	b.network = lab.NewNetwork(b.stack.Status.Network.Name)
	b.t.Cleanup(func() {
		if err := b.network.Heal(context.WithoutCancel(b.t.Context())); err != nil {
			b.t.Error(err)
		}
	})
	for _, o := range orders {
		if o.Setup.System != holdfast && b.bosh == nil {
			b.bosh = boshCLI(b.t, b.stack)
			if err := b.bosh("upload-release", boshRelease(b.t)); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// order creates an instance of the setup's plan through the OSB API and binds it.
func (b *bed) order(_ context.Context, setup report.Setup, name string) (*cluster.Cluster, func() error, error) {
	remove := func() error {
		// A broken cluster may not let go of its logins; they end with it.
		_, unbind := b.stack.Try("unbind", name)
		if _, err := b.stack.Try("delete", name); err != nil {
			return errors.Join(unbind, err)
		}
		return nil
	}
	args := []string{"create", "postgresql", setup.Plan, name}
	if setup.Replication != "none" {
		args = append(args, "-c", fmt.Sprintf(`{"replication": %q}`, setup.Replication))
	}
	if _, err := b.stack.Try(args...); err != nil {
		return nil, remove, err
	}
	out, err := b.stack.Try("bind", name, "--json")
	if err != nil {
		return nil, remove, err
	}
	var credentials struct {
		Host     string   `json:"host"`
		Hosts    []string `json:"hosts"`
		Port     int      `json:"port"`
		Database string   `json:"database"`
		Username string   `json:"username"`
		Password string   `json:"password"`
	}
	if err := json.Unmarshal([]byte(out), &credentials); err != nil {
		return nil, remove, fmt.Errorf("understand the binding: %w", err)
	}
	deployment, err := b.deploymentOf(name)
	if err != nil {
		return nil, remove, err
	}
	c, err := b.cluster(deployment)
	if err != nil {
		return nil, remove, err
	}
	c.Login = client.Login{Port: credentials.Port, Database: credentials.Database, Username: credentials.Username, Password: credentials.Password, SSLMode: "require"}
	c.Alias, c.Hosts, c.Parts = credentials.Host, credentials.Hosts, cluster.KeeperParts()
	c.Switchover = c.KeeperSwitchover
	if rest, ok := strings.CutPrefix(c.Alias, "primary."); ok && len(c.Nodes) > 1 {
		c.ReplicaAlias = "replica." + rest
	}
	return c, remove, nil
}

// cluster is what every deployment gives: its nodes and the stack's Consul.
func (b *bed) cluster(deployment string) (*cluster.Cluster, error) {
	director, err := openDirector(b.stack.Folder)
	if err != nil {
		return nil, err
	}
	c := &cluster.Cluster{
		Names: client.Names{Timeout: dnsTimeout}, Operator: operator{director, deployment},
		Network: b.network, DirectorDir: b.stack.Folder.DirectorDir(),
	}
	if c.Nodes, err = nodes(director, deployment); err != nil {
		return nil, err
	}
	for i, address := range b.stack.Status.Consul.Servers {
		c.Consul = append(c.Consul, cluster.Node{Name: fmt.Sprintf("consul/%d", i), Address: address})
		c.Names.Servers = append(c.Names.Servers, address+":53")
	}
	return c, nil
}

// deploymentOf names an instance's deployment.
func (b *bed) deploymentOf(name string) (string, error) {
	out, err := b.stack.Try("list", "--json")
	if err != nil {
		return "", err
	}
	var instances []struct {
		Name string `json:"name"`
		ID   string `json:"id"`
	}
	if err := json.Unmarshal([]byte(out), &instances); err != nil {
		return "", fmt.Errorf("understand the list of instances: %w", err)
	}
	for _, i := range instances {
		if i.Name == name {
			return "postgresql-" + i.ID, nil
		}
	}
	return "", fmt.Errorf("no instance is called %q: %s", name, out)
}
