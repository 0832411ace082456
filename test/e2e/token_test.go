package e2e

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	consulapi "github.com/hashicorp/consul/api"
	"gopkg.in/yaml.v3"

	"github.com/holdfast-osb/holdfast/deployer/bosh"
	"github.com/holdfast-osb/holdfast/test/stacktest"
)

// tokens takes the token that one tenant's nodes have in Consul and tries it on
// another tenant's things; it ends with its deployment.
func tokens(t *testing.T, s *stacktest.Stack) {
	before := deployments(s)
	s.CLI("create", "postgresql", "single-small", "neighbour")
	mine := ""
	for name := range deployments(s) {
		if !before[name] {
			mine = name
		}
	}
	theirs := ""
	for name := range before {
		theirs = name
	}
	client := nodeClient(t, s, mine)
	kv, catalog := client.KV(), client.Catalog()
	if pair, _, err := kv.Get("holdfast/"+mine+"/leader", nil); err != nil || pair == nil {
		t.Fatalf("its own lease: got %v, %v", pair, err)
	}
	alias := func(node, service string) error {
		_, err := catalog.Register(&consulapi.CatalogRegistration{Node: node, Address: "192.0.2.66", SkipNodeUpdate: true,
			Service: &consulapi.AgentService{ID: "stolen", Service: service, Tags: []string{"primary"}, Address: "192.0.2.66", Port: 5432}}, nil)
		return err
	}
	for what, try := range map[string]func() error{
		"read the lease": func() error { _, _, err := kv.Get("holdfast/"+theirs+"/leader", nil); return err },
		"write the lease": func() error {
			_, err := kv.Put(&consulapi.KVPair{Key: "holdfast/" + theirs + "/leader", Value: []byte("x")}, nil)
			return err
		},
		"remove the keys": func() error { _, err := kv.DeleteTree("holdfast/"+theirs+"/", nil); return err },
		"move the alias":  func() error { return alias(theirs, theirs) },
		"put an alias":    func() error { return alias(mine, theirs) },
		"remove the names": func() error {
			_, err := catalog.Deregister(&consulapi.CatalogDeregistration{Node: theirs}, nil)
			return err
		},
		"make a policy": func() error {
			_, _, err := client.ACL().PolicyCreate(&consulapi.ACLPolicy{Name: "stolen"}, nil)
			return err
		},
		"see other tokens": func() error { _, _, err := client.ACL().TokenList(nil); return err },
		"change a policy": func() error {
			_, err := client.ACL().PolicyDelete("00000000-0000-0000-0000-000000000001", nil)
			return err
		},
		"lock with a session": func() error {
			_, _, err := client.Session().Create(&consulapi.SessionEntry{Node: theirs}, nil)
			return err
		},
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("%s of another: got %v, want a refusal", what, err)
		}
	}
	if services, _, err := catalog.Services(nil); err != nil || services[theirs] != nil {
		t.Errorf("it sees the other's services: %v, %v", services, err)
	}
	if nodes, _, err := catalog.Service(theirs, "", nil); err != nil || len(nodes) > 0 {
		t.Errorf("it sees where the other's servers are: %v, %v", nodes, err)
	}
	s.CLI("delete", "neighbour")
	if _, _, err := kv.Get("holdfast/"+mine+"/leader", nil); err == nil {
		t.Error("the token outlives its deployment")
	}
	readClusterStatus(t, s)
}

func deployments(s *stacktest.Stack) map[string]bool {
	s.Refresh()
	names := map[string]bool{}
	for _, name := range s.Status.Deployments {
		names[name] = true
	}
	return names
}

// nodeClient is Consul as the nodes of a deployment reach it, with what is in its
// manifest.
func nodeClient(t *testing.T, s *stacktest.Stack, deployment string) *consulapi.Client {
	t.Helper()
	var part struct {
		Director bosh.Config `yaml:"director"`
	}
	part.Director = bosh.Defaults()
	content, err := os.ReadFile(filepath.Join(string(s.Folder), "config", "deployer.yml"))
	if err == nil {
		err = yaml.Unmarshal(content, &part)
	}
	if err != nil {
		t.Fatal(err)
	}
	director, err := bosh.New(part.Director, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer director.Close()
	text, err := director.Manifest(t.Context(), deployment)
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Groups []struct {
			Jobs []struct {
				Properties struct {
					Consul struct {
						Servers   []string
						CA, Token string
					}
				}
			}
		} `yaml:"instance_groups"`
	}
	if err := yaml.Unmarshal([]byte(text), &manifest); err != nil {
		t.Fatal(err)
	}
	door := manifest.Groups[0].Jobs[0].Properties.Consul
	config := consulapi.DefaultConfig()
	config.Scheme, config.Address, config.Token = "https", fmt.Sprintf("%s:8501", door.Servers[0]), door.Token
	config.TLSConfig = consulapi.TLSConfig{Address: "server.dc1." + s.Status.Consul.Domain, CAPem: []byte(door.CA)}
	client, err := consulapi.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
