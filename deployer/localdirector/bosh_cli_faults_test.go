package localdirector_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release/releasetest"
)

// Uploads that the CLI itself would not send.
func (s *scripted) hostileUploads(t *testing.T) {
	manifest := func(more string) releasetest.Entry {
		return releasetest.Entry{Name: "release.MF", Body: "name: evil\nversion: 1\ncommit_hash: x\njobs: []\npackages: []\n" + more}
	}
	tests := map[string]struct {
		content []byte
		code    int
	}{
		"no tarball": {[]byte("hello"), 30002},
		"path":       {releasetest.Tarball(t, manifest(""), releasetest.Entry{Name: "../../../tmp/evil", Body: "x"}), 30002},
		"compiled":   {releasetest.Tarball(t, manifest("compiled_packages: [{name: p, fingerprint: x, sha1: x, stemcell: a/1}]\n")), 30012},
		"cycle":      {releasetest.Tarball(t, releasetest.Entry{Name: "release.MF", Body: "name: evil\nversion: 1\npackages: [{name: p, fingerprint: x, sha1: x, dependencies: [p]}]\n"}), 30012},
	}
	for name, tc := range tests {
		path := filepath.Join(t.TempDir(), "upload.tgz")
		if err := os.WriteFile(path, tc.content, 0o600); err != nil {
			t.Fatal(err)
		}
		before := s.lastTaskID(t)
		s.try("curl", "-X", "POST", "-H", "Content-Type: application/x-compressed", "--body", path, "/releases")
		poll(t, 30*time.Second, "the upload is refused", func() bool { return len(s.rows(t, "tasks")) == 0 && s.lastTaskID(t) != before })
		a := s.try("curl", "/tasks/"+s.lastTaskID(t)+"/output?type=event")
		if !strings.Contains(a.stdout, fmt.Sprintf(`"code":%d`, tc.code)) {
			t.Errorf("%s: no code %d in %s", name, tc.code, a)
		}
	}
	if rows := s.rows(t, "releases"); len(rows) != 0 {
		t.Errorf("releases are %v", rows)
	}
}

func (d *director) lastTaskID(t *testing.T) string {
	t.Helper()
	rows := d.rows(t, "tasks", "--recent=1", "--all")
	if len(rows) == 0 {
		return ""
	}
	return rows[0]["id"]
}

// A director that was killed comes back with everything as it was.
func (s *scripted) directorKilled(t *testing.T) {
	before := s.states(t, "running")
	count := starts(t, before[0])
	s.director.stop(t, syscall.SIGKILL)
	s.start(t)
	after := s.states(t, "running")
	if after[0]["vm_cid"] != before[0]["vm_cid"] || starts(t, after[0]) != count {
		t.Errorf("instance is %v, was %v", after[0], before[0])
	}
	s.must(t, s.deployArgs(nil), "Succeeded").hasNot(t, "Updating instance")
}

// A VM that died is brought back with its disk.
func (s *scripted) vmKilled(t *testing.T) {
	before := s.states(t, "running")
	count := starts(t, before[0])
	killed := time.Now()
	if err := syscall.Kill(s.initOf(t, before[0]["vm_cid"]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	poll(t, time.Minute, "the VM is brought back", func() bool {
		rows := s.instances(t, "web")
		return rows[0]["vm_cid"] != before[0]["vm_cid"] && rows[0]["process_state"] == "running"
	})
	t.Logf("killed and running again after %s, 1 s of it the delay", time.Since(killed).Round(100*time.Millisecond))
	after := s.states(t, "running")
	if after[0]["ips"] != before[0]["ips"] || after[0]["disk_cids"] != before[0]["disk_cids"] || starts(t, after[0]) != plusOne(t, count) {
		t.Errorf("instance is %v, was %v", after[0], before[0])
	}
}

// initOf finds the first process of a VM: the one that is pid 1 in its own
// namespace and whose root lies in the VM's folder.
func (d *director) initOf(t *testing.T, cid string) int {
	t.Helper()
	statuses, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range statuses {
		ids := strings.Fields(linesWith(readAll(path), "NSpid:"))
		mounts := linesWith(readAll(filepath.Join(filepath.Dir(path), "mountinfo")), d.dir)
		if len(ids) < 3 || ids[len(ids)-1] != "1" || !strings.Contains(mounts, cid) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	t.Fatalf("no process is the first of VM %s", cid)
	return 0
}
