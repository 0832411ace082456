package manifest_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

const manifestText = `
name: demo
releases: [{name: hello, version: latest}]
stemcells: [{alias: default, os: rig-os, version: latest}]
update: {canaries: 1, max_in_flight: 50%, canary_watch_time: 1000-30000, update_watch_time: 5000, initial_deploy_az_update_strategy: parallel}
tags: {team: blue, cost: 7}
features: {converge_variables: true}
variables: [{name: pw, type: password}]
instance_groups:
- name: web
  instances: 4
  azs: [z1, z2]
  vm_type: small
  vm_extensions: [big-disk]
  stemcell: default
  persistent_disk_type: default
  networks: [{name: default}]
  update: {serial: false, max_in_flight: 3}
  env: {bosh: {keep_root_password: true}}
  migrated_from: [{name: old-web, az: z1}]
  jobs:
  - name: web
    release: hello
    properties: {greeting: hi}
    provides: {site: {as: the-site, shared: true}, admin: nil}
    consumes: {db: {from: main-db, deployment: other, network: default}, cache: nil, lb: {instances: [{address: 10.0.0.9}], properties: {port: 80}}}
- name: smoke
  lifecycle: errand
  instances: 1
  azs: [z1]
  vm_resources: {cpu: 2, ram: 2048, ephemeral_disk_size: 4096}
  stemcell: default
  persistent_disk: 100
  networks: [{name: default}]
  jobs: [{name: smoke, release: hello}]
`

func parseManifest(t *testing.T, text string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Parse(readManifest(t, text), parseCloud(t, cloudText), uploaded, manifest.Options{})
	if err != nil {
		t.Fatalf("parse manifest: %v", err)
	}
	return m
}

func TestParse(t *testing.T) {
	m := parseManifest(t, manifestText)
	if m.Name != "demo" || m.Releases[0].Version != "1.0.0" || !reflect.DeepEqual(m.Stemcells[0], manifest.Stemcell{Alias: "default", Name: "rig-dummy", OS: "rig-os", Version: "1.1"}) {
		t.Errorf("got %+v", m)
	}
	if !reflect.DeepEqual(m.Tags, map[string]string{"team": "blue", "cost": "7"}) || !m.Features.ConvergeVariables || m.Variables[0].UpdateMode != "converge" {
		t.Errorf("got tags %v, features %v, variables %v", m.Tags, m.Features, m.Variables)
	}
	web, _ := m.Group("web")
	wantUpdate := manifest.Update{
		Canaries: manifest.Amount{Number: 1}, MaxInFlight: manifest.Amount{Number: 3}, VMStrategy: "delete-create", InitialAZs: "parallel",
		CanaryWatchTime: manifest.WatchTime{Min: time.Second, Max: 30 * time.Second}, UpdateWatchTime: manifest.WatchTime{Min: 5 * time.Second, Max: 5 * time.Second},
	}
	if web.Update != wantUpdate {
		t.Errorf("got  %+v\nwant %+v", web.Update, wantUpdate)
	}
	if web.PersistentDisk.SizeMiB != 1024 || web.PersistentDisk.Type != "default" || web.Errand() || web.MigratedFrom[0] != (manifest.MigratedFrom{Name: "old-web", AZ: "z1"}) {
		t.Errorf("got %+v", web)
	}
	if got := web.Networks[0].Default; !reflect.DeepEqual(got, []string{"dns", "gateway"}) {
		t.Errorf("got defaults %v", got)
	}
	job := web.Jobs[0]
	if job.Provides["site"] != (manifest.Provide{As: "the-site", Shared: true}) || !job.Provides["admin"].Nil || !job.Consumes["cache"].Nil {
		t.Errorf("got %+v", job)
	}
	if db := job.Consumes["db"]; db.From != "main-db" || db.Deployment != "other" || db.Network != "default" || db.Manual != nil {
		t.Errorf("got %+v", db)
	}
	if lb := job.Consumes["lb"].Manual; lb == nil || len(lb.Instances) != 1 || lb.Properties["port"] != 80 {
		t.Errorf("got %+v", lb)
	}
	smoke, _ := m.Group("smoke")
	if !smoke.Errand() || *smoke.VMResources != (manifest.CloudProperties{MemoryMiB: 2048, CPUs: 2, EphemeralDiskMiB: 4096}) || smoke.PersistentDisk.SizeMiB != 100 || !smoke.Update.Serial {
		t.Errorf("got %+v", smoke)
	}
}

func TestUpdateAmounts(t *testing.T) {
	u := manifest.Update{Canaries: manifest.Amount{Number: 50, Percent: true}, MaxInFlight: manifest.Amount{Number: 30, Percent: true}}
	for size, want := range map[int][2]int{0: {0, 1}, 1: {0, 1}, 3: {1, 1}, 10: {5, 3}} {
		if got := [2]int{u.CanariesOf(size), u.MaxInFlightOf(size)}; got != want {
			t.Errorf("of %d: got %v, want %v", size, got, want)
		}
	}
	m, err := manifest.Parse(readManifest(t, manifestText), parseCloud(t, cloudText), uploaded, manifest.Options{Canaries: "2", MaxInFlight: "25%"})
	if err != nil {
		t.Fatal(err)
	}
	web, _ := m.Group("web")
	if web.Update.CanariesOf(4) != 2 || web.Update.MaxInFlightOf(4) != 1 {
		t.Errorf("options did not win: %+v", web.Update)
	}
}

func TestPropertiesOfGroupAndDeploymentServeJobsWithoutTheirOwn(t *testing.T) {
	text := strings.Replace(manifestText, "  jobs: [{name: smoke, release: hello}]", "  properties: {a: {b: 2, c: 3}}\n  jobs: [{name: smoke, release: hello}]", 1)
	m := parseManifest(t, "properties: {a: {b: 1, d: 4}, e: 5}\n"+text)
	smoke, _ := m.Group("smoke")
	want := map[string]any{"a": map[string]any{"b": 2, "c": 3, "d": 4}, "e": 5}
	if got := smoke.Jobs[0].Properties; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	web, _ := m.Group("web")
	if got := web.Jobs[0].Properties; !reflect.DeepEqual(got, map[string]any{"greeting": "hi"}) {
		t.Errorf("got %v", got)
	}
}

func TestAddons(t *testing.T) {
	addons := func(filters string) string {
		return manifestText + "addons: [{name: monitoring, jobs: [{name: smoke, release: hello, properties: {x: 1}}]" + filters + "}]\n"
	}
	cases := map[string]struct {
		filters string
		onWeb   bool
	}{
		"only one group":        {", include: {instance_groups: [web]}", true},
		"service groups":        {", include: {lifecycle: service}", true},
		"by job":                {", include: {jobs: [{name: web, release: hello}]}", true},
		"by stemcell and zone":  {", include: {stemcell: [{os: rig-os}], azs: [z2]}", true},
		"by another stemcell":   {", include: {stemcell: [{os: ubuntu}]}", false},
		"by network, excluded":  {", include: {networks: [default], lifecycle: service}, exclude: {instance_groups: [web]}", false},
		"excluded by lifecycle": {", exclude: {azs: [z1]}", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			web, _ := parseManifest(t, addons(c.filters)).Group("web")
			if j, on := web.Job("smoke"); on != c.onWeb || on && j.Properties["x"] != 1 {
				t.Errorf("got %v %+v, want %v", on, j, c.onWeb)
			}
		})
	}
	for filters, want := range map[string]struct {
		code int
		text string
	}{
		"":                                  {140010, "Colocated job 'smoke' is already added to the instance group 'smoke'"},
		", include: {deployments: [a]}":     {530006, "Deployment filter is not allowed for deployment level addons."},
		", include: {jobs: [{name: a}]}":    {530004, `Job {"name"=>"a"} in deployment config's include section must have both name and release.`},
		", exclude: {stemcell: [{osx: a}]}": {530005, `Stemcell {"osx"=>"a"} in deployment config's exclude section must have an os name.`},
	} {
		_, err := manifest.Parse(readManifest(t, addons(filters)), parseCloud(t, cloudText), uploaded, manifest.Options{})
		wantFault(t, err, want.code, want.text)
	}
	unknown := manifestText + "addons: [{name: a, jobs: [{name: j, release: nope}]}]\n"
	_, err := manifest.Parse(readManifest(t, unknown), parseCloud(t, cloudText), uploaded, manifest.Options{})
	wantFault(t, err, 530002, "Manifest specifies job 'j' which is defined in 'nope', but 'nope' is not listed in the deployment releases section.")
}

func TestLatestPicksTheHighestVersion(t *testing.T) {
	have := manifest.Available{
		Releases: []manifest.ReleaseVersion{
			{Name: "hello", Version: "1.9.0"}, {Name: "hello", Version: "1.10.0"}, {Name: "hello", Version: "2.0.0-rc.1"}, {Name: "hello", Version: "1.10.0+dev.1"},
		},
		Stemcells: []manifest.StemcellVersion{{Name: "s", OS: "rig-os", Version: "621.9"}, {Name: "s", OS: "rig-os", Version: "621.10"}, {Name: "s", OS: "rig-os", Version: "6210.1"}},
	}
	cases := map[string][2]string{"latest": {"2.0.0-rc.1", "6210.1"}, "1.latest": {"1.10.0+dev.1", ""}, "1.9.latest": {"1.9.0", ""}, "621.latest": {"", "621.10"}}
	for asked, want := range cases {
		for i, section := range []string{"releases: [{name: hello, version: VERSION}]", "stemcells: [{alias: default, name: s, version: VERSION}]"} {
			text := strings.Replace(manifestText, "releases: [{name: hello, version: latest}]", "releases: [{name: hello, version: 1.9.0}]", 1)
			text = strings.Replace(text, "stemcells: [{alias: default, os: rig-os, version: latest}]", "stemcells: [{alias: default, os: rig-os, version: '621.9'}]", 1)
			lines := strings.Split(text, "\n")
			for n, l := range lines {
				if strings.HasPrefix(l, section[:9]) {
					lines[n] = strings.Replace(section, "VERSION", asked, 1)
				}
			}
			m, err := manifest.Parse(readManifest(t, strings.Join(lines, "\n")), parseCloud(t, cloudText), have, manifest.Options{})
			if want[i] == "" {
				if err == nil {
					t.Errorf("%s of %s was found", asked, section)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s of %s: %v", asked, section, err)
				continue
			}
			if got := []string{m.Releases[0].Version, m.Stemcells[0].Version}[i]; got != want[i] {
				t.Errorf("%s of %s: got %s, want %s", asked, section, got, want[i])
			}
		}
	}
}

func TestResolvedDocumentsKeepTheirPlaceholders(t *testing.T) {
	d, err := readManifest(t, "name: a\nreleases: [{name: hello, version: latest}]\nstemcells: [{alias: x, name: rig-dummy, version: latest}]\np: ((secret))\n").Resolved(uploaded)
	if err != nil {
		t.Fatal(err)
	}
	want := "---\nname: a\nreleases:\n- name: hello\n  version: 1.0.0\nstemcells:\n- alias: x\n  name: rig-dummy\n  version: '1.1'\n  os: rig-os\np: \"((secret))\"\n"
	if got := string(d.YAML()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
