package localdirector_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release/releasetest"
)

// TestStockBoshCLI drives a director with the bosh CLI as an operator would,
// from an empty director to a deployment that is gone again. The steps build
// on each other.
func TestStockBoshCLI(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes; not part of -short")
	}
	d := &scripted{director: startDirector(t)}
	steps := []struct {
		name string
		run  func(*testing.T)
	}{
		{"env", d.environment},
		{"cloud-config", d.cloudConfig},
		{"stemcells", d.stemcells},
		{"hostile uploads", d.hostileUploads},
		{"releases", d.releases},
		{"deploy", d.firstDeploy},
		{"deployments and manifest", d.showDeployment},
		{"instances and vms", d.showInstances},
		{"tasks", d.tasks},
		{"variables, events and locks", d.variablesAndEvents},
		{"deploy without a change", d.deployUnchanged},
		{"deploy with a change", d.deployChanged},
		{"stop and start", d.stopAndStart},
		{"stop --hard and start", d.stopHard},
		{"restart", d.restart},
		{"recreate", d.recreate},
		{"run-errand", d.errand},
		{"deploy that fails", d.failingDeploy},
		{"cancel-task", d.cancel},
		{"scale and change the VM type", d.scale},
		{"director killed", d.directorKilled},
		{"VM killed", d.vmKilled},
		{"delete-deployment", d.deleteDeployment},
		{"delete release and stemcell", d.deleteArtifacts},
	}
	for _, step := range steps {
		finished := false
		t.Run(step.name, func(t *testing.T) { step.run(t); finished = true })
		if !finished {
			t.Fatalf("step %q was not finished; the others build on it", step.name)
		}
	}
}

// scripted is what the steps know.
type scripted struct {
	*director
	release    string
	stemcell   string
	stemcellOS string
	vars       map[string]any
}

const deployment = "dummy"

// on puts the deployment's flag before a command.
func on(args ...string) []string { return append([]string{"-d", deployment}, args...) }

// deployArgs is a deploy of the dummy manifest with some variables changed for good.
func (s *scripted) deployArgs(changes map[string]any) []string {
	maps.Copy(s.vars, changes)
	args := on("deploy", filepath.Join("testdata", "dummy.yml"))
	for _, name := range slices.Sorted(maps.Keys(s.vars)) {
		args = append(args, "-v", fmt.Sprintf("%s=%v", name, s.vars[name]))
	}
	return args
}

// instance is a row of `bosh instances --details`.
func (s *scripted) instances(t *testing.T, group string) []map[string]string {
	t.Helper()
	var rows []map[string]string
	for _, row := range s.rows(t, on("instances", "--details")...) {
		if strings.HasPrefix(row["instance"], group+"/") {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b map[string]string) int { return strings.Compare(a["index"], b["index"]) })
	return rows
}

// states checks the process states of the web instances, by index.
func (s *scripted) states(t *testing.T, want ...string) []map[string]string {
	t.Helper()
	rows := s.instances(t, "web")
	var got []string
	for _, row := range rows {
		got = append(got, row["process_state"])
	}
	if !slices.Equal(got, want) {
		t.Fatalf("instances are %v, want %v", got, want)
	}
	return rows
}

func (s *scripted) environment(t *testing.T) {
	s.must(t, []string{"env"}, "holdfast", "admin")
	stranger := append(slices.Clone(s.env), "BOSH_CLIENT_SECRET=wrong")
	if a := s.tryWith(stranger, "env"); a.code != 0 || !strings.Contains(a.stdout, "not logged in") {
		t.Errorf("with a wrong password: %s", a)
	}
	if a := s.tryWith(stranger, "deployments"); a.code == 0 {
		t.Errorf("with a wrong password: %s", a)
	}
	if rows := s.rows(t, "deployments"); len(rows) != 0 {
		t.Errorf("a new director has deployments %v", rows)
	}
}

func (s *scripted) cloudConfig(t *testing.T) {
	subnet, err := netip.ParsePrefix(s.stack.Subnet)
	if err != nil {
		t.Fatal(err)
	}
	base := subnet.Masked().Addr().As4()
	network := netip.PrefixFrom(netip.AddrFrom4(base), 24)
	base[3] = 1
	gateway := netip.AddrFrom4(base)
	base[3] = 200
	args := []string{"update-cloud-config", filepath.Join("testdata", "cloud-config.yml"), "-v", "range=" + network.String(), "-v", "gateway=" + gateway.String(), "-v", "static=" + netip.AddrFrom4(base).String()}
	s.must(t, args, "+ vm_types:", "Succeeded")
	s.must(t, args, "Succeeded").hasNot(t, "+ vm_types:")
	s.must(t, []string{"cloud-config"}, "range: "+network.String())
	s.must(t, []string{"configs"}, "cloud")
}

func (s *scripted) stemcells(t *testing.T) {
	build := exec.Command(filepath.Join("stemcell", "build.sh"))
	tarball := strings.TrimSpace(string(run(t, build)))
	s.must(t, []string{"upload-stemcell", tarball}, "Update stemcell", "Succeeded")
	s.must(t, []string{"upload-stemcell", tarball}, "already exists")
	s.must(t, []string{"upload-stemcell", "--fix", tarball}, "Succeeded")
	rows := s.rows(t, "stemcells")
	if len(rows) != 1 || rows[0]["name"] == "" || rows[0]["version"] == "" || rows[0]["os"] == "" || rows[0]["cid"] == "" {
		t.Fatalf("stemcells are %v", rows)
	}
	s.stemcellOS = rows[0]["os"]
	s.stemcell = rows[0]["name"] + "/" + strings.TrimSuffix(rows[0]["version"], "*")
}

func (s *scripted) releases(t *testing.T) {
	s.release = releasetest.Create(t, releasetest.DummyRelease(t), deployment, "1.0.0")
	s.must(t, []string{"upload-release", s.release}, "Creating new packages", "Creating new jobs", "Succeeded")
	s.must(t, []string{"upload-release", s.release}, "Succeeded").hasNot(t, "Creating new packages")
	s.must(t, []string{"upload-release", "--fix", s.release}, "Succeeded")
	// The CLI leaves out the packages that the director has.
	second := releasetest.Create(t, releasetest.DummyRelease(t), deployment, "1.1.0")
	s.must(t, []string{"upload-release", second}, "Release has been created: dummy/1.1.0")
	var versions []string
	for _, row := range s.rows(t, "releases") {
		versions = append(versions, row["name"]+"/"+row["version"])
	}
	if want := []string{"dummy/1.1.0", "dummy/1.0.0"}; !slices.Equal(versions, want) {
		t.Errorf("releases are %v, want %v", versions, want)
	}
	s.must(t, []string{"inspect-release", "dummy/1.1.0"}, "web", "smoke", "hello", "base")
}

func (s *scripted) firstDeploy(t *testing.T) {
	s.vars = map[string]any{"instances": 2, "greeting": "hello", "vm_type": "default", "drain_polls": 0, "fail_pre_start": false, "fail_post_start": false, "fail_smoke": false, "stemcell_os": s.stemcellOS}
	s.must(t, s.deployArgs(nil), "+ instance_groups:", "Preparing deployment", "Compiling packages: base/", "Compiling packages: hello/",
		"Creating missing vms: web/", "Updating instance web: web/", "(canary)", "Succeeded")
	rows := s.states(t, "running", "running")
	peers := fmt.Sprintf("web/0 z1 %s:8080 hello\nweb/1 z2 %s:8080 hello\n", rows[0]["ips"], rows[1]["ips"])
	for _, row := range rows {
		if got := get(t, row["ips"], "/peers"); got != peers {
			t.Errorf("peers are %q, want %q", got, peers)
		}
		if got := get(t, row["ips"], "/deploys"); got != "1\n" {
			t.Errorf("post-deploy has run %q times, want once", got)
		}
		if got := get(t, row["ips"], "/"); !strings.HasPrefix(got, "hello\n"+row["instance"]+" on "+row["ips"]+"\nmotto: small and true") {
			t.Errorf("%s says %q", row["instance"], got)
		}
		if got := get(t, row["ips"], "/starts"); got != "1\n" {
			t.Errorf("%s was started %q times, want once", row["instance"], got)
		}
		config := map[string]any{}
		if err := json.Unmarshal([]byte(get(t, row["ips"], "/config")), &config); err != nil || config["deployment"] != deployment || config["az"] != row["az"] || config["password_length"] != 20.0 {
			t.Errorf("%s is configured with %v, %v", row["instance"], config, err)
		}
	}
}

func (s *scripted) showDeployment(t *testing.T) {
	rows := s.rows(t, "deployments")
	if len(rows) != 1 || rows[0]["name"] != deployment || rows[0]["release_s"] != "dummy/1.1.0" || rows[0]["stemcell_s"] != s.stemcell {
		t.Errorf("deployments are %v", rows)
	}
	s.must(t, on("deployment"), deployment)
	s.must(t, on("manifest"), "greeting: hello", "password: ((web_password))")
	s.fails(t, []string{"-d", "nosuch", "manifest"}, "Deployment 'nosuch' doesn't exist")
}

func (s *scripted) showInstances(t *testing.T) {
	processes := 0
	for _, row := range s.rows(t, on("instances", "--ps", "--vitals")...) {
		if row["process"] == "web" {
			processes++
			if row["process_state"] != "running" || row["uptime"] == "" || row["memory_usage"] == "" {
				t.Errorf("process is %v", row)
			}
		} else if strings.HasPrefix(row["instance"], "web/") && (row["cpu_user"] == "" || row["memory_usage"] == "" || row["persistent_disk_usage"] == "" || row["system_disk_usage"] == "") {
			t.Errorf("no vitals in %v", row)
		}
	}
	if processes != 2 {
		t.Errorf("%d processes, want 2", processes)
	}
	vms := s.rows(t, on("vms", "--vitals")...)
	if len(vms) != 2 || vms[0]["vm_cid"] == "" || vms[0]["vm_cid"] == vms[1]["vm_cid"] || vms[0]["vm_type"] != "default" || vms[0]["active"] != "true" {
		t.Errorf("vms are %v", vms)
	}
	if all := s.rows(t, "vms"); len(all) != 2 {
		t.Errorf("vms of all deployments are %v", all)
	}
}

func (s *scripted) tasks(t *testing.T) {
	id := s.lastTask(t, "create deployment")
	s.must(t, []string{"task", id, "--event"}, `"stage":"Updating instance"`, `"state":"finished"`)
	s.must(t, []string{"task", id, "--debug"}, "instance differs")
	s.must(t, []string{"task", id}, "Updating instance web", "done")
	result := s.lastTask(t, "retrieve vm-stats")
	s.must(t, []string{"task", result, "--result"}, `"job_name":"web"`, `"vitals":`)
	if rows := s.rows(t, "tasks"); len(rows) != 0 {
		t.Errorf("tasks at work: %v", rows)
	}
	recent := s.rows(t, "-d", deployment, "tasks", "--recent=1")
	if len(recent) != 1 || recent[0]["deployment"] != deployment || recent[0]["state"] != "done" {
		t.Errorf("most recent task of the deployment is %v", recent)
	}
	s.fails(t, []string{"task", "99999"}, "99999")
}

func (s *scripted) variablesAndEvents(t *testing.T) {
	var names []string
	for _, row := range s.rows(t, on("variables")...) {
		parts := strings.Split(row["name"], "/")
		names = append(names, strings.Join(parts[max(0, len(parts)-2):], "/"))
	}
	if want := []string{"dummy/ca", "dummy/server", "dummy/web_password"}; !slices.Equal(names, want) {
		t.Errorf("variables are %v, want %v", names, want)
	}
	seen := map[string]bool{}
	for _, row := range s.rows(t, "events") {
		seen[row["action"]+" "+row["object_type"]] = true
	}
	for _, want := range []string{"create deployment", "create vm", "create instance", "create disk"} {
		if !seen[want] {
			t.Errorf("no event %q among %v", want, slices.Sorted(maps.Keys(seen)))
		}
	}
	if rows := s.rows(t, "locks"); len(rows) != 0 {
		t.Errorf("locks while nothing happens: %v", rows)
	}
}

func (s *scripted) deployUnchanged(t *testing.T) {
	before := s.states(t, "running", "running")
	a := s.must(t, s.deployArgs(nil), "Succeeded")
	a.hasNot(t, "Updating instance", "Compiling packages: ", "Creating missing vms: ", "+ ")
	for i, row := range s.states(t, "running", "running") {
		if row["vm_cid"] != before[i]["vm_cid"] || get(t, row["ips"], "/starts") != "1\n" {
			t.Errorf("%s was touched", row["instance"])
		}
	}
}

func (s *scripted) deployChanged(t *testing.T) {
	before := s.states(t, "running", "running")
	a := s.must(t, s.deployArgs(map[string]any{"greeting": "hi"}), "Updating instance web", "Succeeded")
	a.has(t, "greeting: \"<redacted>\"")
	a.hasNot(t, "Compiling packages: ", "Creating missing vms: ")
	for i, row := range s.states(t, "running", "running") {
		if row["vm_cid"] != before[i]["vm_cid"] {
			t.Errorf("%s has another VM", row["instance"])
		}
		if got := get(t, row["ips"], "/"); !strings.HasPrefix(got, "hi\n") {
			t.Errorf("%s says %q", row["instance"], got)
		}
	}
	s.must(t, append(s.deployArgs(map[string]any{"greeting": "hello"}), "--dry-run"), "Succeeded").hasNot(t, "Updating instance")
	s.vars["greeting"] = "hi"
	if got := get(t, before[0]["ips"], "/"); !strings.HasPrefix(got, "hi\n") {
		t.Errorf("after a dry run: %q", got)
	}
}
