package postgresql

import (
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
)

// withOwnConsul is a provider with a Consul that nobody else uses.
func withOwnConsul(t *testing.T) (*Service, *consulServer) {
	t.Helper()
	server := startConsul(t)
	config := Defaults()
	config.Port, config.Consul = freePort(t), server.config
	service, err := New(config, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	return service, server
}

func (s *Service) planNamed(t *testing.T, name string) PlanConfig {
	t.Helper()
	for _, plan := range s.plans {
		if plan.Name == name {
			return plan
		}
	}
	t.Fatalf("there is no plan %s", name)
	return PlanConfig{}
}

func prepare(t *testing.T, service *Service, deployment, plan string) (spi.Instance, spi.Preparation) {
	t.Helper()
	in := spi.Instance{ID: "id-of-" + deployment, Deployment: deployment, ServiceID: service.config.ServiceID, PlanID: service.planNamed(t, plan).ID}
	p, err := service.Prepare(t.Context(), spi.PrepareRequest{Instance: in})
	if err != nil {
		t.Fatal(err)
	}
	in.Attributes, in.Secrets = p.Attributes, p.Secrets
	return in, p
}

func TestATokenOpensItsDeploymentOnly(t *testing.T) {
	service, server := withOwnConsul(t)
	// The name of one is the beginning of the other's.
	mine, own := prepare(t, service, "postgresql-1", "cluster-small")
	_, other := prepare(t, service, "postgresql-10", "single-small")
	token := own.SecretAttributes["consul_token"].Reveal()
	if token == other.SecretAttributes["consul_token"].Reveal() {
		t.Fatal("two deployments share a token")
	}
	management := server.management(t)
	for _, name := range []string{"postgresql-1", "postgresql-10"} {
		if err := put(management, "holdfast/"+name+"/leader"); err != nil {
			t.Fatal(err)
		}
		if err := register(management, name, name); err != nil {
			t.Fatal(err)
		}
	}
	client := server.client(t, token)
	read := func(key string) func() error {
		return func() error {
			pair, _, err := client.KV().Get(key, nil)
			if err == nil && pair == nil {
				t.Errorf("%s is hidden instead of refused", key)
			}
			return err
		}
	}
	for name, c := range map[string]struct {
		do      func() error
		allowed bool
	}{
		"write an own key":            {func() error { return put(client, "holdfast/postgresql-1/members") }, true},
		"read an own key":             {read("holdfast/postgresql-1/leader"), true},
		"write own keys in one go":    {func() error { return transact(t.Context(), client, "holdfast/postgresql-1/leader") }, true},
		"put its own alias":           {func() error { return register(client, "postgresql-1", "postgresql-1") }, true},
		"write another's key":         {func() error { return put(client, "holdfast/postgresql-10/leader") }, false},
		"read another's key":          {read("holdfast/postgresql-10/leader"), false},
		"write another's in one go":   {func() error { return transact(t.Context(), client, "holdfast/postgresql-10/leader") }, false},
		"remove another's keys":       {func() error { _, err := client.KV().DeleteTree("holdfast/postgresql-10/", nil); return err }, false},
		"remove everybody's keys":     {func() error { _, err := client.KV().DeleteTree("holdfast/", nil); return err }, false},
		"put another's alias":         {func() error { return register(client, "postgresql-10", "postgresql-10") }, false},
		"another's alias on its node": {func() error { return register(client, "postgresql-1", "postgresql-10") }, false},
		"another's node":              {func() error { return registerAt(client, "postgresql-10", "10.0.0.66", "postgresql-1") }, false},
		// Consul allows that where the node is left as it is. It harms nobody.
		"its own alias on another's node": {func() error { return register(client, "postgresql-10", "postgresql-1") }, true},
		"a service of Consul's own":       {func() error { return register(client, "postgresql-1", "consul") }, false},
		"a key outside":                   {func() error { return put(client, "anything") }, false},
		"read tokens":                     {func() error { _, _, err := client.ACL().TokenList(nil); return err }, false},
		"make a policy": {func() error {
			return service.consulWith(t, server, token).ensureToken(t.Context(), "postgresql-2", "x")
		}, false},
		"a leader's election":           {func() error { _, err := client.Operator().RaftGetConfiguration(nil); return err }, false},
		"nobody's token, an own key":    {func() error { return put(server.client(t, ""), "holdfast/postgresql-1/leader") }, false},
		"a deployment's key in the SPI": {func() error { return put(management, "holdfast/postgresql-1/x") }, true},
	} {
		if err := c.do(); (err == nil) != c.allowed {
			t.Errorf("%s: got %v, want allowed %t", name, err, c.allowed)
		}
	}
	for what, list := range map[string]func() (int, error){
		"others' keys": func() (int, error) {
			found, _, err := client.KV().Keys("holdfast/", "", nil)
			return 1 + len(slices.DeleteFunc(found, func(key string) bool { return strings.HasPrefix(key, "holdfast/postgresql-1/") })), err
		},
		"services": func() (int, error) { found, _, err := client.Catalog().Services(nil); return len(found), err },
		"nodes":    func() (int, error) { found, _, err := client.Catalog().Nodes(nil); return len(found), err },
	} {
		if n, err := list(); err != nil || n != 1 {
			t.Errorf("it sees %d %s too many (%v)", n-1, what, err)
		}
	}
	if target, err := service.consul.aliasTarget(t.Context(), "postgresql-1"); err != nil || target != "10.0.0.7" {
		t.Errorf("alias: got %q, %v", target, err)
	}

	// Removal takes all of one deployment and nothing of the other.
	for range 2 {
		if err := service.Remove(t.Context(), mine); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(client, "holdfast/postgresql-1/leader"); err == nil {
		t.Error("a removed deployment's token still opens something")
	}
	keys, _, err := management.KV().Keys("holdfast/", "", nil)
	if err != nil || strings.Join(keys, " ") != "holdfast/postgresql-10/leader" {
		t.Errorf("got keys %q, %v", keys, err)
	}
	services, _, err := management.Catalog().Services(nil)
	if _, left := services["postgresql-1"]; err != nil || left || services["postgresql-10"] == nil {
		t.Errorf("got services %v, %v", services, err)
	}
	if err := put(server.client(t, other.SecretAttributes["consul_token"].Reveal()), "holdfast/postgresql-10/leader"); err != nil {
		t.Errorf("the other's token: %v", err)
	}
}

// consulWith is a provider's door to Consul with another token.
func (s *Service) consulWith(t *testing.T, server *consulServer, token string) *consul {
	t.Helper()
	config := server.config
	config.Token = secret.New(token)
	made, err := newConsul(config)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestPreparationIsRepeatable(t *testing.T) {
	service, server := withOwnConsul(t)
	in, first := prepare(t, service, "postgresql-1", "cluster-small")
	second, err := service.Prepare(t.Context(), spi.PrepareRequest{Instance: in})
	if err != nil {
		t.Fatal(err)
	}
	for name := range first.SecretAttributes {
		if first.SecretAttributes[name].Reveal() != second.SecretAttributes[name].Reveal() {
			t.Errorf("%s changed", name)
		}
	}
	if first.Template != "postgresql" || first.Attributes["instances"] != 3 || first.Attributes["replication_mode"] != "async" {
		t.Errorf("got %s, %v", first.Template, first.Attributes)
	}
	// A preparation whose secrets nobody kept: another takes its place.
	lost := first.SecretAttributes["consul_token"].Reveal()
	_, again := prepare(t, service, "postgresql-1", "cluster-small")
	token := again.SecretAttributes["consul_token"].Reveal()
	if token == lost {
		t.Fatal("a new instance key gives the old token")
	}
	if err := put(server.client(t, token), "holdfast/postgresql-1/x"); err != nil {
		t.Errorf("the token that counts: %v", err)
	}
	if err := put(server.client(t, lost), "holdfast/postgresql-1/x"); err == nil {
		t.Error("the lost token still opens something")
	}
	for raw, allowed := range map[string]bool{`{"replication":"quorum"}`: true, `{"replication":"async"}`: true, `{"replication":"sync"}`: false, `{"replication":1}`: false} {
		in.Parameters = []byte(raw)
		p, err := service.Prepare(t.Context(), spi.PrepareRequest{Instance: in})
		if (err == nil) != allowed || allowed && !strings.Contains(raw, p.Attributes["replication_mode"].(string)) {
			t.Errorf("%s: got %v, %v", raw, p.Attributes["replication_mode"], err)
		}
	}
	single := spi.Instance{ID: "s", Deployment: "postgresql-2", PlanID: service.planNamed(t, "single-small").ID, Parameters: []byte(`{"replication":"quorum"}`)}
	if _, err := service.Prepare(t.Context(), spi.PrepareRequest{Instance: single}); !fault.Is(err, fault.Invalid) {
		t.Errorf("replication on a single server: got %v, want a fault of the field", err)
	}
}

// The plan says how its clusters replicate where the parameters do not.
func TestReplicationOfAPlan(t *testing.T) {
	config := Defaults()
	config.Consul = sharedConsul(t).config
	for i := range config.Plans {
		if config.Plans[i].Nodes > 1 {
			config.Plans[i].Replication = "quorum"
		}
	}
	service, err := New(config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"cluster-small": "quorum", "single-small": "async"} {
		in, p := prepare(t, service, "postgresql-1", name)
		if p.Attributes["replication_mode"] != want {
			t.Errorf("%s: got %v, want %s", name, p.Attributes["replication_mode"], want)
		}
		schema := string(service.catalogPlan(service.planNamed(t, name)).Schemas.CreateInstance)
		if strings.Contains(schema, `"default": "quorum"`) != (want == "quorum") || strings.Contains(schema, "replication") != (want == "quorum") {
			t.Errorf("%s: the schema is %s", name, schema)
		}
		in.Parameters = []byte(`{"replication": "async"}`)
		p, err := service.Prepare(t.Context(), spi.PrepareRequest{Instance: in})
		if want == "quorum" && (err != nil || p.Attributes["replication_mode"] != "async") {
			t.Errorf("%s: a parameter against the plan: got %v, %v", name, p.Attributes["replication_mode"], err)
		}
	}
}

func TestConsulIsAway(t *testing.T) {
	config := Defaults()
	config.Consul = sharedConsul(t).config
	config.Consul.Addresses = []string{"127.0.0.1:1"}
	service, err := New(config, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = service.Prepare(t.Context(), spi.PrepareRequest{Instance: spi.Instance{ID: "i", Deployment: "postgresql-1", PlanID: service.plans[0].ID}})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("prepare: got %v, want Unavailable", err)
	}
	if err := service.Remove(t.Context(), spi.Instance{ID: "i", Deployment: "postgresql-1"}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("remove: got %v, want Unavailable: the token is still there", err)
	}
}
