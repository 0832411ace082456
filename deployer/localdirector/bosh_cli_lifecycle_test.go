package localdirector_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// starts is how often pre-start has run on an instance's disk.
func starts(t *testing.T, row map[string]string) string {
	t.Helper()
	return strings.TrimSpace(get(t, row["ips"], "/starts"))
}

func (s *scripted) stopAndStart(t *testing.T) {
	s.must(t, on("stop", "web/0"), "Updating instance web", "Succeeded")
	silent(t, s.states(t, "stopped", "running")[0]["ips"])
	// A stopped instance stays so when something else changes.
	s.must(t, s.deployArgs(map[string]any{"greeting": "hej"}), "Succeeded")
	silent(t, s.states(t, "stopped", "running")[0]["ips"])
	s.must(t, on("start", "web/0"), "Succeeded")
	rows := s.states(t, "running", "running")
	if got := get(t, rows[0]["ips"], "/"); !strings.HasPrefix(got, "hej\n") {
		t.Errorf("after the start: %q", got)
	}
	s.must(t, on("stop", "web"), "Succeeded")
	s.states(t, "stopped", "stopped")
	s.must(t, on("start", "web"), "Succeeded")
	s.states(t, "running", "running")
	s.fails(t, on("stop", "nosuch/0"), "nosuch")
	// By its id, and touching nothing else.
	s.must(t, on("stop", "--no-converge", rows[1]["instance"]), "Succeeded")
	silent(t, s.states(t, "running", "stopped")[1]["ips"])
	s.must(t, on("start", "--no-converge", rows[1]["instance"]), "Succeeded")
	s.states(t, "running", "running")
}

func (s *scripted) stopHard(t *testing.T) {
	before := s.states(t, "running", "running")
	count := starts(t, before[1])
	s.must(t, on("stop", "--hard", "web/1"), "Succeeded")
	if vms := s.rows(t, on("vms")...); len(vms) != 1 {
		t.Errorf("vms are %v, want one", vms)
	}
	s.must(t, on("start", "web/1"), "Creating missing vms", "Succeeded")
	after := s.states(t, "running", "running")
	if after[1]["vm_cid"] == before[1]["vm_cid"] || after[1]["disk_cids"] != before[1]["disk_cids"] || after[1]["ips"] != before[1]["ips"] {
		t.Errorf("instance is %v, was %v", after[1], before[1])
	}
	if got, want := starts(t, after[1]), plusOne(t, count); got != want {
		t.Errorf("starts counted on the disk: %s, want %s", got, want)
	}
}

func plusOne(t *testing.T, number string) string {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(number, &n); err != nil {
		t.Fatalf("%q is no number", number)
	}
	return fmt.Sprint(n + 1)
}

func (s *scripted) restart(t *testing.T) {
	before := s.states(t, "running", "running")
	counts := []string{starts(t, before[0]), starts(t, before[1])}
	s.must(t, on("restart", "web/0"), "Succeeded")
	s.must(t, on("restart"), "Succeeded")
	for i, row := range s.states(t, "running", "running") {
		want := plusOne(t, counts[i])
		if i == 0 {
			want = plusOne(t, want)
		}
		if got := starts(t, row); got != want || row["vm_cid"] != before[i]["vm_cid"] {
			t.Errorf("%s was started %s times, want %s, in VM %s, was %s", row["instance"], got, want, row["vm_cid"], before[i]["vm_cid"])
		}
	}
}

func (s *scripted) recreate(t *testing.T) {
	before := s.states(t, "running", "running")
	count := starts(t, before[0])
	s.must(t, on("recreate", "web/0"), "Succeeded")
	after := s.states(t, "running", "running")
	if after[0]["vm_cid"] == before[0]["vm_cid"] || after[1]["vm_cid"] != before[1]["vm_cid"] || after[0]["ips"] != before[0]["ips"] {
		t.Errorf("instances are %v, were %v", after, before)
	}
	if got := starts(t, after[0]); got != plusOne(t, count) {
		t.Errorf("starts counted on the disk: %s, were %s", got, count)
	}
	s.must(t, on("recreate"), "Succeeded")
	for i, row := range s.states(t, "running", "running") {
		if row["vm_cid"] == after[i]["vm_cid"] {
			t.Errorf("%s still has its VM", row["instance"])
		}
	}
}

func (s *scripted) errand(t *testing.T) {
	s.must(t, on("errands"), "smoke")
	rows := s.rows(t, on("run-errand", "smoke")...)
	if len(rows) != 1 || rows[0]["exit_code"] != "0" || strings.Count(rows[0]["stdout"], " says hej\n") != 2 || !strings.Contains(rows[0]["stdout"], "smoke is fine") {
		t.Errorf("the errand's result is %v", rows)
	}
	if vms := s.rows(t, on("vms")...); len(vms) != 2 {
		t.Errorf("vms after the errand are %v", vms)
	}
	s.must(t, s.deployArgs(map[string]any{"fail_smoke": true}), "Succeeded")
	s.fails(t, on("run-errand", "smoke", "--keep-alive"), "the errand fails as it was told to", "(exit code 3)")
	if vms := s.rows(t, on("vms")...); len(vms) != 3 {
		t.Errorf("vms after an errand that keeps its VM are %v", vms)
	}
	s.must(t, s.deployArgs(map[string]any{"fail_smoke": false}), "Succeeded")
	s.must(t, on("run-errand", "smoke"), "smoke is fine")
	s.fails(t, on("run-errand", "nosuch"), "nosuch")
}

func (s *scripted) failingDeploy(t *testing.T) {
	s.fails(t, s.deployArgs(map[string]any{"fail_pre_start": true}), "1 of 1 pre-start scripts failed. Failed Jobs: web.")
	if rows := s.instances(t, "web"); rows[0]["process_state"] == "running" || rows[1]["process_state"] != "running" {
		t.Errorf("after a failed canary instances are %v", rows)
	}
	id := s.lastTask(t, "create deployment")
	s.fails(t, []string{"task", id, "--event"}, `"code":450001`) // the CLI fails as the task did
	s.fails(t, s.deployArgs(map[string]any{"fail_pre_start": false, "fail_post_start": true}), "1 of 1 post-start scripts failed. Failed Jobs: web.")
	s.must(t, s.deployArgs(map[string]any{"fail_post_start": false}), "Succeeded")
	s.states(t, "running", "running")

	s.fails(t, append(s.deployArgs(nil), "-o", writeOps(t, "- {type: remove, path: /instance_groups/name=web/jobs/name=web/properties/password}")),
		"Unable to render instance groups for deployment. Errors are:", "Error filling in template 'web.json.erb' (line", "Can't find property '[\"password\"]'")
	s.fails(t, append(s.deployArgs(nil), "-o", writeOps(t, "- {type: replace, path: /instance_groups/name=web/vm_type, value: nosuch}")), "nosuch")
	s.must(t, s.deployArgs(nil), "Succeeded")
	s.states(t, "running", "running")
}

func writeOps(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ops.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A drain that takes long is cancelled; the next deploy repairs.
func (s *scripted) cancel(t *testing.T) {
	s.must(t, s.deployArgs(map[string]any{"drain_polls": 6}), "Succeeded")
	ended := make(chan answer, 1)
	go func() { ended <- s.try(on("restart", "web/0")...) }()
	poll(t, 30*time.Second, "the restart holds its lock", func() bool {
		return strings.Contains(s.try("locks").stdout, "deployment")
	})
	rows := s.rows(t, "tasks")
	if len(rows) != 1 || rows[0]["state"] != "processing" {
		t.Fatalf("tasks at work: %v", rows)
	}
	id := rows[0]["id"]
	// Not with `bosh task`, which waits for the task's end.
	poll(t, 30*time.Second, "the drain runs", func() bool {
		return strings.Contains(s.try("curl", "/tasks/"+id+"/output?type=event").stdout, "executing drain")
	})
	s.must(t, []string{"cancel-task", id})
	if a := <-ended; a.code == 0 {
		t.Errorf("the cancelled command succeeded: %s", a)
	}
	s.fails(t, []string{"task", id, "--event"}, fmt.Sprintf(`"message":"Task %s cancelled"`, id), `"code":10001`)
	if state := s.rows(t, "tasks", "--recent=1", "--all")[0]["state"]; state != "cancelled" {
		t.Errorf("the task is %s, want cancelled", state)
	}
	if rows := s.rows(t, "locks"); len(rows) != 0 {
		t.Errorf("locks after the cancel: %v", rows)
	}
	s.fails(t, []string{"cancel-task", id}, "400")
	s.must(t, s.deployArgs(map[string]any{"drain_polls": 0}), "Succeeded")
	s.states(t, "running", "running")
}

func (s *scripted) scale(t *testing.T) {
	before := s.states(t, "running", "running")
	s.must(t, s.deployArgs(map[string]any{"instances": 3}), "Creating missing vms: web/", "Succeeded")
	after := s.states(t, "running", "running", "running")
	if after[0]["vm_cid"] != before[0]["vm_cid"] {
		t.Errorf("web/0 has another VM")
	}
	s.must(t, s.deployArgs(map[string]any{"instances": 1, "vm_type": "larger"}), "Deleting unneeded instances", "Succeeded")
	last := s.states(t, "running")
	if last[0]["vm_cid"] == before[0]["vm_cid"] || last[0]["disk_cids"] != before[0]["disk_cids"] || last[0]["vm_type"] != "larger" {
		t.Errorf("instance is %v, was %v", last[0], before[0])
	}
}

func (s *scripted) deleteDeployment(t *testing.T) {
	s.fails(t, []string{"delete-release", "dummy/1.1.0"}, "in use")
	s.fails(t, []string{"delete-stemcell", s.stemcell}, "in use")
	s.must(t, on("delete-deployment"), "Deleting instances: web/", "Succeeded")
	s.must(t, on("delete-deployment"), "Succeeded")
	if rows := s.rows(t, "deployments"); len(rows) != 0 {
		t.Errorf("deployments are %v", rows)
	}
	if rows := s.rows(t, "vms"); len(rows) != 0 {
		t.Errorf("vms are %v", rows)
	}
	// Once more, with what was compiled before, and away by force.
	s.must(t, s.deployArgs(nil), "Succeeded").hasNot(t, "Compiling packages: ")
	s.states(t, "running")
	s.must(t, on("delete-deployment", "--force"), "Succeeded")
	if rows := s.rows(t, "deployments"); len(rows) != 0 {
		t.Errorf("deployments are %v", rows)
	}
	if rows := s.rows(t, "disks", "--orphaned"); len(rows) != 0 {
		t.Errorf("disks are %v", rows)
	}
}

func (s *scripted) deleteArtifacts(t *testing.T) {
	s.must(t, []string{"delete-release", "dummy/1.0.0"}, "Succeeded")
	s.must(t, []string{"delete-release", "dummy"}, "Succeeded")
	s.must(t, []string{"delete-stemcell", s.stemcell}, "Succeeded")
	if rows := append(s.rows(t, "releases"), s.rows(t, "stemcells")...); len(rows) != 0 {
		t.Errorf("left: %v", rows)
	}
}
