package boshrelease_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/render"
)

const (
	managementToken = "11111111-2222-4333-8444-555555555555"
	serverToken     = "66666666-7777-4888-8999-aaaaaaaaaaaa"
	consulName      = "server.dc1.holdfast.internal"
)

// consulJob is the job consul-server as the director knows it, with so many
// servers of which this is the first.
func consulJob(servers int, properties map[string]any) render.Job {
	link := manifest.Link{}
	for i := range servers {
		link.Instances = append(link.Instances, manifest.LinkInstance{Name: "consul", Index: i, Address: fmt.Sprintf("127.0.0.%d", i+1)})
	}
	return render.Job{
		Spec:       map[string]any{"deployment": "consul", "index": 0, "bootstrap": true, "ip": "127.0.0.1"},
		Properties: properties, Links: map[string]manifest.Link{"servers": link},
	}
}

func consulProperties() map[string]any {
	return map[string]any{
		"tls":        map[string]any{"ca": "the-ca", "certificate": "the-cert", "private_key": "the-key"},
		"gossip_key": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
		"acl":        map[string]any{"management_token": managementToken, "server_token": serverToken},
	}
}

func TestConsulIsConfiguredAsOneOfThree(t *testing.T) {
	files, err := renderAs(t, theRelease(t), "consul-server", consulJob(3, consulProperties()))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Expect int      `json:"bootstrap_expect"`
		Join   []string `json:"retry_join"`
		Node   string   `json:"node_name"`
		Ports  map[string]int
		ACL    struct {
			Enabled bool
			Policy  string `json:"default_policy"`
		}
		TLS struct {
			RPC map[string]bool `json:"internal_rpc"`
		}
		DNS struct {
			MaxStale string `json:"max_stale"`
		} `json:"dns_config"`
	}
	if err := json.Unmarshal([]byte(files["config/consul.json"]), &config); err != nil {
		t.Fatal(err)
	}
	if config.Expect != 3 || len(config.Join) != 3 || config.Node != "consul-0" {
		t.Errorf("got expect %d, join %v, node %q", config.Expect, config.Join, config.Node)
	}
	if !config.ACL.Enabled || config.ACL.Policy != "deny" {
		t.Errorf("got ACL %+v", config.ACL)
	}
	if !config.TLS.RPC["verify_incoming"] || !config.TLS.RPC["verify_server_hostname"] {
		t.Errorf("servers do not verify each other: %v", config.TLS.RPC)
	}
	for port, want := range map[string]int{"http": -1, "grpc": -1, "grpc_tls": -1, "serf_wan": -1, "https": 8501, "dns": 53} {
		if config.Ports[port] != want {
			t.Errorf("port %s: got %d, want %d", port, config.Ports[port], want)
		}
	}
	// An election takes up to 3 s: names must outlast it.
	if stale, err := time.ParseDuration(config.DNS.MaxStale); err != nil || stale < 10*time.Second {
		t.Errorf("got max_stale %q (%v), want at least 10s", config.DNS.MaxStale, err)
	}
}

func TestConsulsMissingPropertiesAreNamed(t *testing.T) {
	for _, missing := range []string{"tls", "gossip_key", "acl"} {
		properties := maps.Clone(consulProperties())
		delete(properties, missing)
		_, err := renderAs(t, theRelease(t), "consul-server", consulJob(1, properties))
		if err == nil || !strings.Contains(err.Error(), `Can't find property '["`+missing) {
			t.Errorf("without %s: got error %v", missing, err)
		}
	}
}

// consulServer is a node with one real server.
type consulServer struct{ *node }

func newConsulServer(t *testing.T) (consulServer, nodeConfig) {
	t.Helper()
	files, caPEM := renderConsul(t)
	config := nodeConfig{
		job: "consul-server", jobs: map[string]map[string]string{"consul-server": files}, packages: map[string]string{"consul": compiledPackage(t, "consul")},
		storeDir: t.TempDir(), certs: map[string]string{"ca.crt": caPEM},
	}
	return consulServer{startNode(t, config)}, config
}

// renderConsul is the job of a real server, and the CA of its certificate.
func renderConsul(t *testing.T) (files map[string]string, caPEM string) {
	t.Helper()
	ca := newAuthority(t, "consul-ca")
	properties := consulProperties()
	// A server shows its certificate to other servers as well.
	cert, key := ca.issue(t, consulName, consulName)
	properties["tls"] = map[string]any{"ca": ca.PEM, "certificate": cert, "private_key": key}
	files, err := renderAs(t, theRelease(t), "consul-server", consulJob(1, properties))
	if err != nil {
		t.Fatal(err)
	}
	return files, ca.PEM
}

func (s consulServer) up() time.Duration {
	s.t.Helper()
	s.do(s.script("pre-start"))
	began := time.Now()
	s.do(s.script("start"))
	s.do(s.script("post-start"))
	s.do(s.script("post-deploy"))
	return time.Since(began)
}

// api asks with a token, or without one; the answer's status comes first.
func (s consulServer) api(token, method, path, body string) string {
	s.t.Helper()
	command := fmt.Sprintf("curl -s --cacert /certs/ca.crt --resolve %s:8501:127.0.0.1 -X %s -w '%%{stderr}%%{http_code} ' https://%[1]s:8501/v1/%[3]s", consulName, method, path)
	if token != "" {
		command += " -H 'X-Consul-Token: " + token + "'"
	}
	if body != "" {
		command += " -d " + shellQuote(body)
	}
	out, err := s.run("answer=$(" + command + " 2>/tmp/status); cat /tmp/status; printf '%s' \"$answer\"")
	s.must(err)
	return out
}

func TestConsulServer(t *testing.T) {
	s, config := newConsulServer(t)
	t.Logf("start to post-deploy: %s", s.up().Round(10*time.Millisecond))

	t.Run("who has no token reads nothing", func(t *testing.T) {
		s.api(managementToken, "PUT", "kv/holdfast/d/leader", "1")
		for name, c := range map[string]struct{ token, method, path, want string }{
			"keys":                     {"", "GET", "kv/holdfast/d/leader", "403 "},
			"writing keys":             {"", "PUT", "kv/holdfast/d/leader", "403 "},
			"services":                 {"", "GET", "catalog/services", "200 {}"},
			"nodes":                    {"", "GET", "catalog/nodes", "200 []"},
			"tokens":                   {"", "GET", "acl/tokens", "403 "},
			"the servers' own, keys":   {serverToken, "GET", "kv/holdfast/d/leader", "403 "},
			"the servers' own, tokens": {serverToken, "GET", "acl/tokens", "403 "},
			"a wrong one":              {"99999999-7777-4888-8999-aaaaaaaaaaaa", "GET", "catalog/services", "403 "},
			"management":               {managementToken, "GET", "kv/holdfast/d/leader?raw", "200 1"},
		} {
			if got := s.api(c.token, c.method, c.path, ""); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s: got %q, want %q", name, got, c.want)
			}
		}
	})
	t.Run("names are answered without a token", func(t *testing.T) {
		if _, err := s.run(s.script("answers") + " primary.d-1.service.holdfast.internal"); err == nil {
			t.Error("a name that nobody registered has an address")
		}
		s.api(managementToken, "PUT", "catalog/register", `{"Node":"d-1","Address":"10.0.0.7","Service":{"ID":"d-1-primary","Service":"d-1","Tags":["primary"],"Address":"10.0.0.7","Port":5432}}`)
		s.eventually(2*time.Second, "the name is answered", func() error {
			_, err := s.run(s.script("answers") + " primary.d-1.service.holdfast.internal")
			return err
		})
	})
	t.Run("nothing listens in clear", func(t *testing.T) {
		for _, port := range []int{8500, 8502, 8503, 8302} {
			if out, err := s.run(fmt.Sprintf("exec 3<>/dev/tcp/127.0.0.1/%d", port)); err == nil {
				t.Errorf("port %d is open: %s", port, out)
			}
		}
		if out, err := s.run("curl -s http://127.0.0.1:8501/v1/status/leader"); err == nil && !strings.Contains(out, "HTTP request to an HTTPS server") {
			t.Errorf("the API answers without TLS: %q", out)
		}
	})
	t.Run("it runs with a user's rights and the port's", func(t *testing.T) {
		status := s.do("cat /proc/$(cat /var/vcap/sys/run/consul-server/consul.pid)/status")
		for _, want := range []string{"Uid:\t1000\t1000", "CapEff:\t0000000000000400\n", "CapBnd:\t0000000000000400\n", "NoNewPrivs:\t1\n"} {
			if !strings.Contains(status, want) {
				t.Errorf("want %q in\n%s", want, status)
			}
		}
		memory := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindStringSubmatch(status)
		if kib, _ := strconv.Atoi(memory[1]); kib > 200<<10 {
			t.Errorf("got %d KiB resident", kib)
		} else {
			t.Logf("%d MiB resident", kib>>10)
		}
	})
	t.Run("no secret is in logs or process lists", func(t *testing.T) {
		out := s.do("cat /var/vcap/sys/log/consul-server/*; cat /proc/*/cmdline | tr '\\0' ' '")
		for _, token := range []string{managementToken, serverToken} {
			if strings.Contains(out, token) {
				t.Errorf("a token is in\n%s", out)
			}
		}
	})
	t.Run("a repeated deployment changes nothing", func(t *testing.T) {
		s.up()
		if got := s.api(managementToken, "GET", "kv/holdfast/d/leader?raw", ""); got != "200 1" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a server that is deleted for good does not hang", func(t *testing.T) {
		began := time.Now()
		if out := s.do(`BOSH_JOB_NEXT_STATE='{"persistent_disk":0}' ` + s.script("drain")); out != "0" {
			t.Errorf("drain: got %q", out)
		}
		t.Logf("drained in %s", time.Since(began).Round(10*time.Millisecond))
		s.do(s.script("stop"))
	})
	t.Run("its state outlives the VM", func(t *testing.T) {
		s.kill()
		s = consulServer{startNode(t, config)}
		t.Logf("up again in %s", s.up().Round(10*time.Millisecond))
		if got := s.api(managementToken, "GET", "kv/holdfast/d/leader?raw", ""); got != "200 1" {
			t.Errorf("got %q", got)
		}
	})
}

// The blob is the file that consul.sh made, so that building it again elsewhere
// checks a release.
func TestConsulIsStatic(t *testing.T) {
	content, err := os.ReadFile(compiledPackage(t, "consul") + "/bin/consul")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), "/lib64/ld-linux") {
		t.Error("consul needs the stemcell's libraries")
	}
}
