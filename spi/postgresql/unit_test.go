package postgresql

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/spi"
)

// TestVerifierParts checks the form; that the server takes the password for the
// verifier is shown by every test that logs in.
func TestVerifierParts(t *testing.T) {
	key := instanceKey(strings.Repeat("k", 32))
	verifier, err := key.verifier("b1")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^SCRAM-SHA-256\$4096:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=$`).MatchString(verifier) {
		t.Errorf("not what PostgreSQL takes for a verifier: %s", verifier)
	}
	if again, _ := key.verifier("b1"); again != verifier {
		t.Error("a repeated bind would change the verifier")
	}
	if other, _ := key.verifier("b2"); other == verifier || key.password("b1") == key.password("b2") || key.roleName("b1") == key.roleName("b2") {
		t.Error("two bindings share a password, name or verifier")
	}
	if password := key.password("b1"); url.QueryEscape(password) != password || len(password) < 40 {
		t.Errorf("the password needs escaping or is short: %d characters", len(password))
	}
}

// Nothing but Consul has to be said.
func TestDefaultsAreValid(t *testing.T) {
	config := Defaults()
	config.Consul = sharedConsul(t).config
	if err := config.Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigFaultsNameTheirKeys(t *testing.T) {
	config := Defaults()
	config.ServiceName, config.Domain, config.Port, config.ConnectTimeout = "Post gres", "-", 0, time.Nanosecond
	config.Plans[1].Name, config.Plans[1].MemoryMB, config.Plans[0].VMType = config.Plans[0].Name, 1, ""
	config.Plans[1].Replication, config.Plans[2].Nodes, config.Plans[3].Replication = "quorum", 2, "sync"
	err := config.Validate()
	for _, want := range []string{"consul.addresses:", "consul.ca_cert:", "consul.token:", "plans[1].replication:", "plans[2].nodes:", "plans[3].replication:", "service_name:", "domain:", "port:", "connect_timeout:", "plans[1].name:", "plans[1].memory_mb:", "plans[0].vm_type:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to name %s", err, want)
		}
	}
}

func TestMigrations(t *testing.T) {
	service, _ := newService(t)
	small, large, cluster := service.config.Plans[0].ID, service.config.Plans[1].ID, service.config.Plans[2].ID
	for name, c := range map[string]struct {
		from, to string
		allowed  bool
	}{
		"grow":           {small, large, true},
		"stay":           {small, small, true},
		"shrink a disk":  {large, small, false},
		"from elsewhere": {"gone", small, false},
		"lose nodes":     {cluster, small, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := service.Prepare(t.Context(), spi.PrepareRequest{
				Instance: spi.Instance{ID: "i", Deployment: "hf-i", PlanID: c.to}, Previous: &spi.Previous{PlanID: c.from},
			})
			if (err == nil) != c.allowed {
				t.Errorf("got %v, want allowed %t", err, c.allowed)
			}
		})
	}
}

func TestParameters(t *testing.T) {
	for raw, want := range map[string]string{
		``: "", `null`: "", `{}`: "", `{"idle_in_transaction_timeout_seconds": 60}`: "", `{"idle_in_transaction_timeout_seconds": 0}`: "",
		`{"idle_in_transaction_timeout_seconds": -1}`:   "parameters.idle_in_transaction_timeout_seconds",
		`{"idle_in_transaction_timeout_seconds": "60"}`: "parameters.idle_in_transaction_timeout_seconds",
		`{"x": 1}`: "parameters.x", `[]`: "parameters", `"x"`: "parameters",
	} {
		_, err := readInstanceParameters(json.RawMessage(raw), PlanConfig{Nodes: 1})
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want+":")) {
			t.Errorf("%s: got %v, want a fault of %q", raw, err, want)
		}
	}
}
