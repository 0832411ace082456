package boshrelease_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/render"
)

// kept are the properties of a node under the keeper.
func kept(properties map[string]any) map[string]any {
	properties = maps.Clone(properties)
	properties["keeper"] = map[string]any{"enabled": true, "token": "keeper-token"}
	properties["consul"] = map[string]any{"servers": []any{"10.0.0.5", "10.0.0.6:9501"}, "ca": "consul-ca", "token": "consul-token"}
	properties["replication"] = map[string]any{"mode": "quorum", "certificate": "replication-cert", "private_key": "replication-key"}
	return properties
}

// instanceSpec is what a director says of the node with that index.
func instanceSpec(index int, address string) map[string]any {
	return map[string]any{"deployment": "d-1", "name": "postgresql", "index": index, "ip": address}
}

func renderKept(t *testing.T, job string, index int, address string) map[string]string {
	t.Helper()
	properties := kept(required())
	if job != "postgresql" {
		properties = map[string]any{}
	}
	files, err := renderAs(t, theRelease(t), job, render.Job{Spec: instanceSpec(index, address), Properties: properties})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestTheKeeperIsToldEverythingInOneFile(t *testing.T) {
	files := renderKept(t, "postgresql", 1, "10.0.0.21")
	path := filepath.Join(t.TempDir(), "pgkeeper.json")
	if err := os.WriteFile(path, []byte(files["config/pgkeeper.json"]), 0o600); err != nil {
		t.Fatal(err)
	}
	// As the keeper reads it: what it does not know it refuses.
	got, err := settings.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Deployment != "d-1" || got.Node != "node-1" || got.Address != "10.0.0.21" || got.Replication != "quorum" || got.User != "vcap" {
		t.Errorf("got %+v", got)
	}
	if strings.Join(got.Consul.Servers, " ") != "10.0.0.5:8501 10.0.0.6:9501" || got.Consul.ServerName != "server.dc1.holdfast.internal" {
		t.Errorf("got Consul %+v", got.Consul)
	}
	if got.Status.Token.Reveal() != "keeper-token" || got.Consul.Token.Reveal() != "consul-token" || got.Status.Port != 8432 || got.PostgreSQL.StopWithin != 60 {
		t.Errorf("got %+v", got)
	}
	for path, wants := range map[string][]string{
		"monit":                      {"/guard.pid\n"},
		"config/settings.env":        {"KEEPER=1\n"},
		"config/postgresql.conf":     {"shared_preload_libraries = 'repmgr'\n", "wal_sender_timeout = '3s'\n", "wal_log_hints = 'on'\n"},
		"config/pg_ident.conf":       {"replication  holdfast_replication                    repmgr\n"},
		"config/tls/replication.crt": {"replication-cert\n"},
		"config/tls/replication.key": {"replication-key\n"},
		"config/tls/consul_ca.crt":   {"consul-ca\n"},
	} {
		for _, want := range wants {
			if !strings.Contains(files[path], want) {
				t.Errorf("%s: want %q in\n%s", path, want, files[path])
			}
		}
	}
	// Secrets are in the files made for them, and in no other.
	for path, content := range files {
		for secret, home := range map[string]string{"keeper-token": "config/pgkeeper.json", "consul-token": "config/pgkeeper.json", "replication-key": "config/tls/replication.key"} {
			if path != home && strings.Contains(content, secret) {
				t.Errorf("%s holds %s", path, secret)
			}
		}
	}
}

func TestNodesLogInToEachOtherByCertificateOnly(t *testing.T) {
	files := renderKept(t, "postgresql", 0, "10.0.0.20")
	var rules []string
	for line := range strings.Lines(files["config/pg_hba.conf"]) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "repmgr" {
			rules = append(rules, strings.Join(fields, " "))
		}
	}
	want := []string{"hostssl replication,postgres,repmgr repmgr samenet cert map=replication", "hostssl all repmgr all reject"}
	if strings.Join(rules, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", rules, want)
	}
}

// What a director knows of a deployment's size must not reach a node: a third
// node would restart the two that run.
func TestAnotherNodeChangesNothingOnTheOthers(t *testing.T) {
	for _, job := range []string{"postgresql", "repmgr"} {
		properties := map[string]any{}
		if job == "postgresql" {
			properties = kept(required())
		}
		peers := map[string]any{"instances": []any{map[string]any{"index": 0, "address": "10.0.0.20"}}}
		alone := instanceSpec(0, "10.0.0.20")
		before, err := renderAs(t, theRelease(t), job, render.Job{Spec: alone, Properties: properties})
		if err != nil {
			t.Fatal(err)
		}
		peers["instances"] = append(peers["instances"].([]any), map[string]any{"index": 1, "address": "10.0.0.21"}, map[string]any{"index": 2, "address": "10.0.0.22"})
		among := maps.Clone(alone)
		among["bootstrap"], among["links"], among["azs"] = false, peers, []any{"z1", "z2", "z3"}
		after, err := renderAs(t, theRelease(t), job, render.Job{Spec: among, Properties: properties})
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(before, after) {
			t.Errorf("job %s: node 0 differs", job)
		}
		spec, ok := theRelease(t).Release.Job(job)
		if !ok || len(spec.Consumes) != 0 {
			t.Errorf("job %s: consumes links %v: its nodes would change with their number", job, spec.Consumes)
		}
	}
}

// repmgr decides nothing: whatever it wants to run is the keeper's.
func TestRepmgrAsksTheKeeper(t *testing.T) {
	config := renderKept(t, "repmgr", 2, "10.0.0.22")["config/repmgr.conf"]
	commands := 0
	for line := range strings.Lines(config) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		if strings.HasSuffix(name, "_command") {
			commands++
			if !strings.HasPrefix(value, "'/var/vcap/packages/pgkeeper/bin/pgkeeper ") || !strings.HasSuffix(value, "--config /var/vcap/jobs/postgresql/config/pgkeeper.json'") {
				t.Errorf("%s is not the keeper's", line)
			}
		}
	}
	if commands != 7 {
		t.Errorf("got %d commands, want 7", commands)
	}
	for _, want := range []string{"node_id = '3'\n", "node_name = 'node-2'\n", "conninfo = 'host=10.0.0.22 port=5432 user=repmgr ", "use_replication_slots = 'yes'\n", "primary_visibility_consensus = 'true'\n"} {
		if !strings.Contains(config, want) {
			t.Errorf("want %q in\n%s", want, config)
		}
	}
}
