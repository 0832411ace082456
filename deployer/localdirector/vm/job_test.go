package vm_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/cloudfoundry/bosh-agent/v2/agentclient/applyspec"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
)

// A job whose process is a sleep, with a drain that answers dynamically once.
var sleeper = map[string]string{
	"monit": `check process sleeper
  with pidfile /var/vcap/sys/run/sleeper/sleeper.pid
  start program "/var/vcap/jobs/sleeper/bin/ctl start"
  stop program "/var/vcap/jobs/sleeper/bin/ctl stop"
  group vcap
`,
	"bin/ctl": `#!/bin/bash
pidfile=/var/vcap/sys/run/sleeper/sleeper.pid
case $1 in
start) mkdir -p "${pidfile%/*}"; setsid sleep 1000000 >/dev/null 2>&1 & echo $! >$pidfile ;;
stop) kill "$(cat $pidfile)"; rm -f $pidfile ;;
esac
`,
	"bin/pre-start": "#!/bin/bash\necho ran >/var/vcap/data/pre-start\n",
	"bin/drain":     "#!/bin/bash\necho \"$1\" >>/var/vcap/data/drain\n[ \"$1\" = job_check_status ] && echo 0 || echo -1\n",
	"bin/run":       "#!/bin/bash\necho to stdout; echo to stderr >&2\n[ -e /var/vcap/data/block ] && { trap 'echo got TERM; exit 4' TERM; sleep 60 & wait; }\nexit 3\n",
}

func jobArchive(t *testing.T, job string, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for name, content := range files {
		header := &tar.Header{Name: "./" + job + "/" + name, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// upload sends a job to the agent and returns the spec that applies it.
func upload(t *testing.T, c *agent.Client, job string, files map[string]string) applyspec.ApplySpec {
	t.Helper()
	archive := jobArchive(t, job, files)
	id, err := c.PutBlobFrom(t.Context(), bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(archive))
	return applyspec.ApplySpec{
		Deployment: "test", Name: job, NodeID: "11111111-2222-3333-4444-555555555555", ConfigurationHash: digest,
		Packages: map[string]applyspec.Blob{}, Networks: map[string]any{},
		Job:                      applyspec.Job{Name: job, Templates: []applyspec.Blob{{Name: job, Version: digest[7:20]}}},
		RenderedTemplatesArchive: applyspec.RenderedTemplatesArchiveSpec{BlobstoreID: id, SHA1: digest},
	}
}

// deploy applies and starts a job and waits until it runs.
func deploy(t *testing.T, c *agent.Client, spec applyspec.ApplySpec) {
	t.Helper()
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"prepare", func() error { return c.Prepare(t.Context(), spec) }},
		{"stop", func() error { return c.Stop(t.Context()) }},
		{"apply", func() error { return c.Apply(t.Context(), spec) }},
		{"pre-start", func() error { return c.RunScript(t.Context(), "pre-start", nil) }},
		{"start", func() error { return c.Start(t.Context()) }},
		{"running", func() error { waitForState(t, c, "running"); return nil }},
		{"post-start", func() error { return c.RunScript(t.Context(), "post-start", nil) }},
	} {
		start := time.Now()
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		t.Logf("%-10s %v", step.name, time.Since(start).Round(time.Millisecond))
	}
}

func waitForState(t *testing.T, c *agent.Client, want string) {
	t.Helper()
	eventually(t, "state "+want, 20*time.Second, func() bool {
		s, err := c.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.JobState == want
	})
}

func TestJobLivesItsWholeLife(t *testing.T) {
	f := newFixture(t)
	v, c := f.create(t, f.spec(10))
	deploy(t, c, upload(t, c, "sleeper", sleeper))
	if got := mustInside(t, v, "cat /var/vcap/data/pre-start"); got != "ran" {
		t.Errorf("pre-start left %q", got)
	}
	state, err := c.StateFull(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Processes) != 1 || state.Processes[0].Name != "sleeper" || state.Processes[0].State != "running" {
		t.Errorf("processes: %+v", state.Processes)
	}
	pid := mustInside(t, v, "cat "+sleeperPid)
	mustInside(t, v, "kill -0 "+pid)
	start := time.Now()
	if err := c.Drain(t.Context(), agent.DrainShutdown, nil); err != nil {
		t.Fatal(err)
	}
	if got := mustInside(t, v, "cat /var/vcap/data/drain"); got != "job_shutdown\njob_check_status" {
		t.Errorf("the dynamic drain was called with %q", got)
	}
	t.Logf("drain %v", time.Since(start).Round(time.Millisecond))
	start = time.Now()
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("stop %v", time.Since(start).Round(time.Millisecond))
	waitForState(t, c, "stopped")
	if out, err := inside(t, v, "kill -0 "+pid); err == nil {
		t.Errorf("the job's process still runs after drain and stop: %s", out)
	}
	start = time.Now()
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitForState(t, c, "running")
	t.Logf("start → running %v", time.Since(start).Round(time.Millisecond))
	// Without a drain before it, too.
	pid = mustInside(t, v, "cat "+sleeperPid)
	mustInside(t, v, "kill -0 "+pid)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, err := inside(t, v, "kill -0 "+pid); err == nil {
		t.Errorf("the job's process still runs after stop: %s", out)
	}
}

const sleeperPid = "/var/vcap/sys/run/sleeper/sleeper.pid"

func TestWhatADrainEndedIsNotStartedAgain(t *testing.T) {
	f := newFixture(t)
	v, c := f.create(t, f.spec(10))
	files := maps.Clone(sleeper)
	files["bin/ctl"] = "#!/bin/bash\necho $1 >>/var/vcap/data/calls\n" + strings.TrimPrefix(sleeper["bin/ctl"], "#!/bin/bash\n")
	files["bin/drain"] = "#!/bin/bash\nkill $(cat " + sleeperPid + "); echo 0\n"
	deploy(t, c, upload(t, c, "sleeper", files))
	before := mustInside(t, v, "cat /var/vcap/data/calls")
	if err := c.Drain(t.Context(), agent.DrainShutdown, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitForState(t, c, "stopped")
	if after := mustInside(t, v, "cat /var/vcap/data/calls"); after != before {
		t.Errorf("the job's control script was called after its process had been drained: %q, before %q", after, before)
	}
}

func TestStopAfterAFailedPreStart(t *testing.T) {
	f := newFixture(t)
	v, c := f.create(t, f.spec(10))
	deploy(t, c, upload(t, c, "sleeper", sleeper))
	files := maps.Clone(sleeper)
	files["bin/pre-start"] = "#!/bin/bash\nexit 1\n"
	failing := upload(t, c, "sleeper", files)
	pid := mustInside(t, v, "cat "+sleeperPid)
	if err := c.Drain(t.Context(), agent.DrainUpdate, &failing); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, err := inside(t, v, "kill -0 "+pid); err == nil {
		t.Errorf("the old process runs on: %s", out)
	}
	if err := c.Apply(t.Context(), failing); err != nil {
		t.Fatal(err)
	}
	if err := c.RunScript(t.Context(), "pre-start", nil); err == nil {
		t.Error("the pre-start did not fail")
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Errorf("stop after a failed pre-start: %v", err)
	}
	deploy(t, c, upload(t, c, "sleeper", sleeper))
}

func TestProcessThatIgnoresTermIsWaitedFor(t *testing.T) {
	f := newFixture(t)
	v, c := f.create(t, f.spec(10))
	files := maps.Clone(sleeper)
	// stop returns at once; the process takes its time.
	files["bin/ctl"] = strings.Replace(sleeper["bin/ctl"], `kill "$(cat $pidfile)"; rm -f $pidfile`, `(sleep 2; kill -9 "$(cat $pidfile)") >/dev/null 2>&1 &`, 1)
	deploy(t, c, upload(t, c, "sleeper", files))
	pid := mustInside(t, v, "cat "+sleeperPid)
	if err := c.Drain(t.Context(), agent.DrainShutdown, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, err := inside(t, v, "kill -0 "+pid); err == nil {
		t.Errorf("stop came back while the process still ran: %s", out)
	}
}
