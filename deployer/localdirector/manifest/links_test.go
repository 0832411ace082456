package manifest_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// jobs of the release that the tests of links use.
var jobs = map[string]release.Job{
	"db": {
		Name: "db",
		Properties: map[string]release.Property{
			"db.port": {Default: 5432}, "db.user": {}, "db.password": {},
		},
		Provides: []release.ProvidedLink{{Name: "main", Type: "database", Properties: []string{"db.port", "db.user"}}, {Name: "admin", Type: "console"}},
	},
	"app": {
		Name:     "app",
		Provides: []release.ProvidedLink{{Name: "peers", Type: "app"}},
		Consumes: []release.ConsumedLink{{Name: "store", Type: "database"}, {Name: "peers", Type: "app"}, {Name: "cache", Type: "cache", Optional: true}},
	},
	"wrong": {Name: "wrong", Provides: []release.ProvidedLink{{Name: "w", Type: "w", Properties: []string{"nope"}}}},
}

var linkUploads = manifest.Available{
	Releases:  []manifest.ReleaseVersion{{Name: "r", Version: "1"}},
	Stemcells: uploaded.Stemcells,
}

func linksText(db, app string) string {
	return `
name: demo
releases: [{name: r, version: 1}]
stemcells: [{alias: default, os: rig-os, version: latest}]
update: {canaries: 1, max_in_flight: 1, canary_watch_time: 1, update_watch_time: 1}
instance_groups:
- name: data
  instances: 2
  azs: [z1, z2]
  vm_type: default
  stemcell: default
  networks: [{name: default, default: [dns, gateway]}, {name: second}]
  jobs: [{name: db, release: r, properties: {db: {user: me, password: secret}}` + db + `}]
- name: app
  instances: 1
  azs: [z1]
  vm_type: default
  stemcell: default
  networks: [{name: default}]
  jobs: [{name: app, release: r` + app + `}]
`
}

// resolve plans and links a manifest.
func resolve(t *testing.T, text string, others func(string) ([]manifest.Provider, bool)) (*manifest.DeploymentLinks, error) {
	t.Helper()
	cloud := parseCloud(t, cloudText)
	m, err := manifest.Parse(readManifest(t, text), cloud, linkUploads, manifest.Options{})
	if err != nil {
		t.Fatalf("parse manifest: %v", err)
	}
	plan, err := manifest.Plan(manifest.PlanInput{Manifest: m, Cloud: cloud, NewID: ids()})
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	return manifest.Links(manifest.LinksInput{Manifest: m, Plan: plan, Providers: others, Job: func(of, job string) (release.Job, error) {
		j, ok := jobs[job]
		if !ok || of != "r" {
			return j, errors.New("no such job: " + job)
		}
		return j, nil
	}})
}

func TestImplicitLinks(t *testing.T) {
	links, err := resolve(t, linksText("", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := links.Of("app", "app")
	if len(got) != 2 {
		t.Fatalf("got links %v, want store and peers", got)
	}
	text, err := json.Marshal(got["store"])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"deployment_name":"demo","domain":"bosh","default_network":"default","instance_group":"data","group_name":"main-database",` +
		`"instances":[{"name":"data","id":"new1","index":0,"bootstrap":true,"az":"z1","address":"10.244.0.31"},` +
		`{"name":"data","id":"new2","index":1,"bootstrap":false,"az":"z2","address":"10.244.0.32"}],` +
		`"properties":{"db":{"port":5432,"user":"me"}}}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if peers := got["peers"]; len(peers.Instances) != 1 || peers.Instances[0].Address != "10.244.0.33" {
		t.Errorf("a job is no peer of itself: %+v", peers)
	}
	if len(links.Of("data", "db")) != 0 {
		t.Error("a job got links that it does not consume")
	}
}

func TestExplicitLinks(t *testing.T) {
	other := func(deployment string) ([]manifest.Provider, bool) {
		if deployment != "other" {
			return nil, false
		}
		content := manifest.Link{
			DeploymentName: "other", DefaultNetwork: "default", Networks: []string{"default"}, InstanceGroup: "pg",
			Instances: []manifest.LinkInstance{{Name: "pg", ID: "x", Addresses: map[string]string{"default": "10.244.0.99"}}},
		}
		return []manifest.Provider{
			{Deployment: "other", Group: "pg", Job: "db", Name: "main", As: "shared-db", Type: "database", Shared: true, Content: content},
			{Deployment: "other", Group: "pg", Job: "db", Name: "own", As: "own-db", Type: "database", Content: content},
		}, true
	}
	cases := map[string]struct {
		db, app string
		check   func(l map[string]manifest.Link) bool
	}{
		"by name":        {"", ", consumes: {store: {from: main}}", func(l map[string]manifest.Link) bool { return l["store"].InstanceGroup == "data" }},
		"by dotted name": {"", ", consumes: {store: {from: data.main}}", func(l map[string]manifest.Link) bool { return l["store"].InstanceGroup == "data" }},
		"by alias":       {", provides: {main: {as: the-db}}", ", consumes: {store: {from: the-db}}", func(l map[string]manifest.Link) bool { return l["store"].GroupName == "the-db-database" }},
		"on a network": {"", ", consumes: {store: {from: main, network: second}}", func(l map[string]manifest.Link) bool {
			return l["store"].Instances[1].Address == "10.245.2.4" && l["store"].DefaultNetwork == "second"
		}},
		"other deployment": {"", ", consumes: {store: {from: shared-db, deployment: other}}", func(l map[string]manifest.Link) bool {
			return l["store"].Instances[0].Address == "10.244.0.99" && l["store"].DeploymentName == "other"
		}},
		"own deployment": {"", ", consumes: {store: {from: main, deployment: demo}}", func(l map[string]manifest.Link) bool { return l["store"].DeploymentName == "demo" }},
		"manual": {"", ", consumes: {store: {instances: [{address: 1.2.3.4, name: a, index: 3}], properties: {db: {port: 1}}, address: db.example}}", func(l map[string]manifest.Link) bool {
			s := l["store"]
			return s.Address == "db.example" && reflect.DeepEqual(s.Instances[0], manifest.LinkInstance{Name: "a", Index: 3, Address: "1.2.3.4"}) && s.Properties["db"].(map[string]any)["port"] == 1
		}},
		"optional blocked": {"", ", consumes: {cache: nil}", func(l map[string]manifest.Link) bool { _, has := l["cache"]; return !has && len(l) == 2 }},
		"custom provider": {", custom_provider_definitions: [{name: kv, type: cache, properties: [db.port]}]", "", func(l map[string]manifest.Link) bool {
			return reflect.DeepEqual(l["cache"].Properties, map[string]any{"db": map[string]any{"port": 5432}})
		}},
		"ambiguity ended by nil": {", provides: {main: nil}, custom_provider_definitions: [{name: two, type: database}]", "", func(l map[string]manifest.Link) bool { return l["store"].GroupName == "two-database" }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			links, err := resolve(t, linksText(c.db, c.app), other)
			if err != nil {
				t.Fatal(err)
			}
			if got := links.Of("app", "app"); !c.check(got) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestLinkFaults(t *testing.T) {
	const failed = "Failed to resolve links from deployment 'demo'. See errors below:\n  - "
	cases := map[string]struct{ db, app, want string }{
		"unknown name": {"", ", consumes: {store: {from: nope}}",
			failed + "Failed to resolve link 'store' with alias 'nope' and type 'database' from job 'app' in instance group 'app'. Details below:\n    - No link providers found"},
		"nobody provides": {", provides: {main: nil}", "",
			failed + "Failed to resolve link 'store' with type 'database' from job 'app' in instance group 'app'. Details below:\n    - No link providers found"},
		"blocked but needed": {"", ", consumes: {store: nil}",
			failed + "Failed to resolve link 'store' with type 'database' from job 'app' in instance group 'app'. Details below:\n    - No link providers found"},
		"optional but named": {"", ", consumes: {cache: {from: c}}",
			failed + "Failed to resolve link 'cache' with alias 'c' and type 'cache' from job 'app' in instance group 'app'. Details below:\n    - No link providers found"},
		"several": {", provides: {main: {as: one}}, custom_provider_definitions: [{name: two, type: database}]", "",
			failed + "Failed to resolve link 'store' with type 'database' from job 'app' in instance group 'app'. Multiple link providers found:\n" +
				"    - Link provider 'main' with alias 'one' from job 'db' in instance group 'data' in deployment 'demo'\n" +
				"    - Link provider 'two' from job 'db' in instance group 'data' in deployment 'demo'"},
		"no such network": {"", ", consumes: {store: {from: main, network: nozone}}",
			failed + "Failed to resolve link 'store' with alias 'main' and type 'database' from job 'app' in instance group 'app'. Details below:\n" +
				"    - Link provider 'main' from job 'db' in instance group 'data' in deployment 'demo' does not belong to network 'nozone'"},
		"no such deployment": {"", ", consumes: {store: {from: main, deployment: gone}}",
			failed + "Link 'main' in job 'app' from instance group 'app' consumes from deployment 'gone', but the deployment does not exist."},
		"two at once": {"", ", consumes: {store: {from: a}, peers: {from: b}}",
			failed + "Failed to resolve link 'store' with alias 'a' and type 'database' from job 'app' in instance group 'app'. Details below:\n    - No link providers found\n" +
				"  - Failed to resolve link 'peers' with alias 'b' and type 'app' from job 'app' in instance group 'app'. Details below:\n    - No link providers found"},
		"manual with a wrong type": {"", ", consumes: {store: {instances: [{index: one}]}}",
			failed + `Manual link 'store' in job 'app' in instance group 'app': Property 'index' value ("one") did not match the required type 'Integer'`},
		"custom provider is the release's": {", custom_provider_definitions: [{name: main, type: database}]", "",
			"Custom provider 'main' in job 'db' in instance group 'data' is already defined in release 'r'"},
		"custom property unknown": {", custom_provider_definitions: [{name: x, type: x, properties: [nope]}]", "",
			"Link property nope in template db is not defined in release spec"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := resolve(t, linksText(c.db, c.app), nil)
			wantFault(t, err, 100, c.want)
		})
	}
	t.Run("not shared", func(t *testing.T) {
		others := func(string) ([]manifest.Provider, bool) {
			return []manifest.Provider{{As: "main", Name: "main", Type: "database"}}, true
		}
		_, err := resolve(t, linksText("", ", consumes: {store: {from: main, deployment: other}}"), others)
		wantFault(t, err, 100, failed+"Failed to resolve link 'store' with alias 'main' and type 'database' from job 'app' in instance group 'app'. Details below:\n    - No link providers found")
	})
	t.Run("wrong property of the release", func(t *testing.T) {
		_, err := resolve(t, strings.Replace(linksText("", ""), "name: db, release", "name: wrong, release", 1), nil)
		wantFault(t, err, 100, "Link property nope in template wrong is not defined in release spec")
	})
	t.Run("unknown job", func(t *testing.T) {
		if _, err := resolve(t, strings.Replace(linksText("", ""), "name: db, release", "name: gone, release", 1), nil); err == nil || err.Error() != "no such job: gone" {
			t.Errorf("got %v", err)
		}
	})
}

func TestProvidersSurviveTheDatabase(t *testing.T) {
	links, err := resolve(t, linksText(", provides: {main: {as: db, shared: true}}", ", consumes: {store: {from: db}}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(links.Providers)
	if err != nil {
		t.Fatal(err)
	}
	var kept []manifest.Provider
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	consumer := strings.Replace(linksText(", provides: {main: nil}", ", consumes: {store: {from: db, deployment: demo, network: second}}"), "name: demo", "name: two", 1)
	again, err := resolve(t, consumer, func(string) ([]manifest.Provider, bool) { return kept, true })
	if err != nil {
		t.Fatal(err)
	}
	got := again.Of("app", "app")["store"]
	if got.DeploymentName != "demo" || got.Instances[0].Address != "10.245.1.4" || got.Instances[0].Addresses != nil {
		t.Errorf("got %+v", got)
	}
}
