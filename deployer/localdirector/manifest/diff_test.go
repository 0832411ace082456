package manifest_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

// The files in testdata are what a real director was given and answered.
func testdata(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func readManifest(t *testing.T, text string) *manifest.Document {
	t.Helper()
	d, err := manifest.Read([]byte(text))
	if err != nil {
		t.Fatalf("read manifest: %v", err)
	}
	return d
}

func readConfig(t *testing.T, text string) *manifest.Document {
	t.Helper()
	d, err := manifest.ReadConfig([]byte(text))
	if err != nil {
		t.Fatalf("read config: %v", err)
	}
	return d
}

var uploaded = manifest.Available{
	Releases: []manifest.ReleaseVersion{
		{Name: "hello", Version: "0.9.0"}, {Name: "hello", Version: "1.0.0", Jobs: []string{"web", "smoke"}},
		{Name: "other", Version: "2"},
	},
	Stemcells: []manifest.StemcellVersion{
		{Name: "rig-dummy", OS: "rig-os", Version: "1.1"}, {Name: "rig-dummy", OS: "rig-os", Version: "1.0"},
	},
}

// sameAnswer compares the JSON forms, which is what clients see.
func sameAnswer(t *testing.T, got []manifest.DiffLine, want []byte) {
	t.Helper()
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var g, w [][]any
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(want, &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		for i := 0; i < max(len(g), len(w)); i++ {
			switch {
			case i >= len(g):
				t.Errorf("line %d: got nothing, want %q", i, w[i])
			case i >= len(w):
				t.Errorf("line %d: got %q, want nothing", i, g[i])
			case !reflect.DeepEqual(g[i], w[i]):
				t.Errorf("line %d: got %q, want %q", i, g[i], w[i])
			}
		}
	}
}

func TestDiffOfANewDeploymentIsTheDirectors(t *testing.T) {
	after := manifest.DiffSide{
		Manifest:     readManifest(t, string(testdata(t, "manifest.yml"))),
		CloudConfigs: []*manifest.Document{readConfig(t, string(testdata(t, "cloud-config.yml")))},
	}
	got, err := manifest.DiffDeployments(manifest.DiffSide{}, after, uploaded, true)
	if err != nil {
		t.Fatal(err)
	}
	sameAnswer(t, got, testdata(t, "diff-new-deployment.json"))

	none, err := manifest.DiffDeployments(after, after, uploaded, true)
	if err != nil {
		t.Fatal(err)
	}
	sameAnswer(t, none, []byte("[]"))
}

func TestDiffOfAConfigIsTheDirectors(t *testing.T) {
	before := readConfig(t, string(testdata(t, "cloud-config.yml")))
	sameAnswer(t, manifest.DiffConfigs(before, readConfig(t, "azs: 7")), testdata(t, "diff-config.json"))
	sameAnswer(t, manifest.DiffConfigs(nil, readConfig(t, "releases: []")), []byte(`[["releases: []","added"]]`))
	sameAnswer(t, manifest.DiffConfigs(before, before), []byte("[]"))
}

func TestDiffShowsWhatChanged(t *testing.T) {
	const base = `
name: demo
releases: [{name: hello, version: 1.0.0}]
stemcells: [{alias: default, os: rig-os, version: "1.1"}]
tags: {team: a}
instance_groups:
- name: web
  instances: 2
  azs: [z1]
  env: {bosh: {password: old}}
  jobs:
  - name: web
    release: hello
    properties: {greeting: hi, nested: {list: [1, 2]}}
- name: db
  instances: 1
`
	cases := map[string]struct {
		edit   func(string) string
		redact bool
		want   string
	}{
		"number": {
			edit: func(s string) string { return strings.Replace(s, "instances: 2", "instances: 3", 1) },
			want: `[["instance_groups:",null],["- name: web",null],["  instances: 2","removed"],["  instances: 3","added"]]`,
		},
		"element added to a list": {
			edit: func(s string) string { return strings.Replace(s, "azs: [z1]", "azs: [z1, z2]", 1) },
			want: `[["instance_groups:",null],["- name: web",null],["  azs:",null],["  - z2","added"]]`,
		},
		"property, redacted": {
			edit:   func(s string) string { return strings.Replace(s, "greeting: hi", "greeting: secret", 1) },
			redact: true,
			want:   `[["instance_groups:",null],["- name: web",null],["  jobs:",null],["  - name: web",null],["    properties:",null],["      greeting: \"<redacted>\"","removed"],["      greeting: \"<redacted>\"","added"]]`,
		},
		"property, shown": {
			edit: func(s string) string { return strings.Replace(s, "greeting: hi", "greeting: ho", 1) },
			want: `[["instance_groups:",null],["- name: web",null],["  jobs:",null],["  - name: web",null],["    properties:",null],["      greeting: hi","removed"],["      greeting: ho","added"]]`,
		},
		"env, redacted": {
			edit:   func(s string) string { return strings.Replace(s, "password: old", "password: new", 1) },
			redact: true,
			want:   `[["instance_groups:",null],["- name: web",null],["  env:",null],["    bosh:",null],["      password: \"<redacted>\"","removed"],["      password: \"<redacted>\"","added"]]`,
		},
		"group removed, group added": {
			edit: func(s string) string {
				return strings.Replace(s, "- name: db\n  instances: 1", "- name: cache\n  instances: 4", 1)
			},
			want: `[["instance_groups:",null],["- name: cache","added"],["  instances: 4","added"],["- name: db","removed"],["  instances: 1","removed"]]`,
		},
		"sections in their order": {
			edit: func(s string) string {
				return strings.Replace(s, "tags: {team: a}", "variables: [{name: v, type: password}]\nupdate: {canaries: 1}", 1)
			},
			want: `[["update:","added"],["  canaries: 1","added"],["",null],["variables:","added"],["- name: v","added"],["  type: password","added"],["",null],["tags:","removed"],["  team: a","removed"]]`,
		},
		"type changed": {
			edit: func(s string) string { return strings.Replace(s, "tags: {team: a}", "tags: none", 1) },
			want: `[["tags:","removed"],["  team: a","removed"],["",null],["tags: none","added"]]`,
		},
		"release resolved to what is deployed": {
			edit: func(s string) string { return strings.Replace(s, "version: 1.0.0", "version: latest", 1) },
			want: `[]`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			after := c.edit(base)
			got, err := manifest.DiffDeployments(manifest.DiffSide{Manifest: readManifest(t, base)}, manifest.DiffSide{Manifest: readManifest(t, after)}, uploaded, c.redact)
			if err != nil {
				t.Fatal(err)
			}
			sameAnswer(t, got, []byte(c.want))
		})
	}
}

func TestDiffHidesCredentialsOfReleaseURLs(t *testing.T) {
	d := readManifest(t, "name: a\nreleases: [{name: r, version: 1, url: 'https://me:pw1234@host/r.tgz'}]\n")
	got, err := manifest.DiffDeployments(manifest.DiffSide{}, manifest.DiffSide{Manifest: d}, uploaded, true)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(got)
	if strings.Contains(string(text), "pw1234") || !strings.Contains(string(text), "@host/r.tgz") {
		t.Errorf("got %s", text)
	}
}

func TestDiffRefusesWhatCannotBeResolved(t *testing.T) {
	d := readManifest(t, "name: a\nstemcells: [{alias: x, os: nope, version: latest}]\n")
	_, err := manifest.DiffDeployments(manifest.DiffSide{}, manifest.DiffSide{Manifest: d}, uploaded, true)
	wantFault(t, err, 50003, "Stemcell with Operating System 'nope' doesn't exist")
}
