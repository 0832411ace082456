package templates_test

import (
	"flag"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/deployer/template"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/templates"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	certificate = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIQ\n-----END CERTIFICATE-----\n"
	privateKey  = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"
)

// plan is what a plan of nodes comes to.
func plan(instances int, vmType, diskType string, memory int, more map[string]any) map[string]any {
	attributes := map[string]any{"instances": instances, "vm_type": vmType, "disk_type": diskType, "memory_mb": memory,
		"server_ca": certificate, "server_certificate": certificate + certificate, "admin_ca": certificate, "replication_certificate": certificate,
		"consul_servers": []any{"10.244.0.5", "10.244.0.6", "10.244.0.7"}, "consul_ca": certificate}
	maps.Copy(attributes, more)
	return attributes
}

var postgresqlSecrets = secret.Values{"server_private_key": secret.New(privateKey), "replication_private_key": secret.New(privateKey),
	"keeper_token": secret.New("a-keeper-token"), "consul_token": secret.New("a-consul-token")}

var consulSecrets = secret.Values{"consul_private_key": secret.New(privateKey), "gossip_key": secret.New("Z29zc2lw"),
	"management_token": secret.New("11111111-2222-4333-8444-555555555555"), "server_token": secret.New("66666666-7777-4888-8999-aaaaaaaaaaaa")}

func TestGolden(t *testing.T) {
	library, err := template.Open(slog.New(slog.DiscardHandler), templates.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		template   string
		attributes map[string]any
		secrets    secret.Values
	}{
		"consul-one": {"consul", map[string]any{"consul_ca": certificate, "consul_certificate": certificate}, consulSecrets},
		"consul-three": {"consul", map[string]any{"consul_ca": certificate, "consul_certificate": certificate, "instances": 3,
			"domain": "db.example", "vm_type": "large", "memory_mb": 512}, consulSecrets},
		"postgresql-one": {"postgresql", plan(1, "large", "large", 1024, map[string]any{
			"idle_in_transaction_timeout_seconds": float64(60), "azs": []any{"z2"}, "network": "tenants",
			"stemcell_os": "ubuntu-jammy", "stemcell_version": "1.2000", "release_version": "3"}), postgresqlSecrets},
		"postgresql-three": {"postgresql", plan(3, "small", "small", 512, map[string]any{"replication_mode": "quorum"}), postgresqlSecrets},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := library.Render(deployer.DeployRequest{Name: "golden", Template: c.template, Attributes: c.attributes,
				SecretAttributes: c.secrets,
				Tags:             map[string]string{"instance": "8a1f3c52-0b6e-4b8e-9d35-1f0a5d2c7e11"}}, "default")
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".yml")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v (write it with go test ./templates -update)", err)
			}
			if string(got) != string(want) {
				t.Errorf("rendering differs from %s (go test ./templates -update):\n%s", file, got)
			}
		})
	}
}

// TestPropertiesAreDeclared compares what the manifests set with what the
// release's jobs declare and require: a director ignores what it does not know.
func TestPropertiesAreDeclared(t *testing.T) {
	goldens, err := filepath.Glob("testdata/*.yml")
	if err != nil || len(goldens) == 0 {
		t.Fatalf("golden files: got %v, %v", goldens, err)
	}
	for _, golden := range goldens {
		var manifest struct {
			Groups []struct {
				Jobs []struct {
					Name       string         `yaml:"name"`
					Properties map[string]any `yaml:"properties"`
				} `yaml:"jobs"`
			} `yaml:"instance_groups"`
		}
		readYAML(t, golden, &manifest)
		for _, group := range manifest.Groups {
			for _, job := range group.Jobs {
				var spec struct {
					Properties map[string]struct {
						Description string `yaml:"description"`
						Default     any    `yaml:"default"`
					} `yaml:"properties"`
				}
				readYAML(t, filepath.Join("..", "boshrelease", "jobs", job.Name, "spec"), &spec)
				set := map[string]bool{}
				for _, path := range paths("", job.Properties) {
					set[path] = true
					if !declared(path, func(p string) bool { _, known := spec.Properties[p]; return known }) {
						t.Errorf("%s sets property %s, which job %s does not declare", golden, path, job.Name)
					}
				}
				for name, property := range spec.Properties {
					if strings.HasPrefix(property.Description, "Required.") && !set[name] && !sets(set, name) {
						t.Errorf("%s does not set property %s, which job %s requires", golden, name, job.Name)
					}
				}
			}
		}
	}
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// paths lists the dotted names of all leaves.
func paths(prefix string, properties map[string]any) []string {
	var list []string
	for key, value := range properties {
		if inner, ok := value.(map[string]any); ok {
			list = append(list, paths(prefix+key+".", inner)...)
			continue
		}
		list = append(list, prefix+key)
	}
	return list
}

// declared tells whether a property or one that holds it is known.
func declared(path string, known func(string) bool) bool {
	for ; path != ""; path = path[:max(strings.LastIndex(path, "."), 0)] {
		if known(path) {
			return true
		}
	}
	return false
}

// sets tells whether anything below a property is set.
func sets(set map[string]bool, name string) bool {
	for path := range set {
		if strings.HasPrefix(path, name+".") {
			return true
		}
	}
	return false
}
