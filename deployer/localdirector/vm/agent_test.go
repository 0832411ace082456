package vm_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudfoundry/bosh-agent/v2/agentclient"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
)

func TestErrandIsRunAndCancelled(t *testing.T) {
	f := newFixture(t)
	v, c := f.create(t, f.spec(10))
	if err := c.Apply(t.Context(), upload(t, c, "sleeper", sleeper)); err != nil {
		t.Fatal(err)
	}
	got, err := c.RunErrand(t.Context(), "sleeper")
	if want := (agent.ErrandResult{Stdout: "to stdout\n", Stderr: "to stderr\n", ExitCode: 3}); err != nil || got != want {
		t.Errorf("errand: got %+v, %v, want %+v", got, err, want)
	}
	if _, err := c.RunErrand(t.Context(), "nobody"); err == nil || !strings.Contains(err.Error(), "Could not find errand nobody") {
		t.Errorf("unknown errand: %v", err)
	}
	mustInside(t, v, "touch /var/vcap/data/block")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	got, err = c.RunErrand(ctx, "sleeper")
	if !errors.Is(err, context.DeadlineExceeded) || got.ExitCode != 4 || !strings.Contains(got.Stdout, "got TERM") {
		t.Errorf("cancelled errand: got %+v, %v", got, err)
	}
}

func TestFailingScriptsAreNamed(t *testing.T) {
	f := newFixture(t)
	_, c := f.create(t, f.spec(10))
	spec := upload(t, c, "web", map[string]string{"monit": "", "bin/pre-start": "#!/bin/bash\nexit 7\n"})
	if err := c.Apply(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	err := c.RunScript(t.Context(), "pre-start", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "Action Failed get_task: Task ") ||
		!strings.HasSuffix(err.Error(), " result: 1 of 1 pre-start scripts failed. Failed Jobs: web.") {
		t.Errorf("got %v", err)
	}
	if err := c.RunScript(t.Context(), "post-start", nil); err != nil {
		t.Errorf("a script that no job has: %v", err)
	}
}

func TestPackageIsCompiledAndItsBlobFetched(t *testing.T) {
	f := newFixture(t)
	_, c := f.create(t, f.spec(10))
	compiled, err := c.CompilePackage(t.Context(), packageSource(t, c, "hello", "echo hi >$BOSH_INSTALL_TARGET/hi; dpkg-deb --version >/dev/null; xz --version >/dev/null"), nil)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "compiled.tgz")
	if err := c.GetBlob(t.Context(), compiled.BlobstoreID, to); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "tar", "-xzOf", to, "./hi").CombinedOutput()
	if err != nil || string(out) != "hi\n" {
		t.Errorf("the compiled package: %v %s", err, out)
	}
	_, err = c.CompilePackage(t.Context(), packageSource(t, c, "broken", "echo no cc here; exit 9"), nil)
	if err == nil || !strings.Contains(err.Error(), "no cc here") {
		t.Errorf("a failing packaging script: %v", err)
	}
}

func packageSource(t *testing.T, c *agent.Client, name, packaging string) agentclient.BlobRef {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "packaging"), []byte("set -e\n"+packaging+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	archive, err := exec.CommandContext(t.Context(), "tar", "-C", dir, "-czf", "-", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.PutBlobFrom(t.Context(), bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	return agentclient.BlobRef{Name: name, Version: "1", BlobstoreID: id, SHA1: fmt.Sprintf("sha256:%x", sha256.Sum256(archive))}
}

func TestLogsAreFetched(t *testing.T) {
	f := newFixture(t)
	v, c := f.create(t, f.spec(10))
	mustInside(t, v, "mkdir -p /var/vcap/sys/log/web && echo line >/var/vcap/sys/log/web/web.stdout.log")
	id, _, err := c.FetchLogs(t.Context(), agent.JobLogs, nil)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "logs.tgz")
	if err := c.GetBlob(t.Context(), id, to); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "tar", "-tzf", to).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "web/web.stdout.log") {
		t.Errorf("the logs: %v %s", err, out)
	}
	if err := c.DeleteBlob(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := c.GetBlob(t.Context(), id, to); err == nil {
		t.Error("a deleted blob was downloaded")
	}
}

func TestProcessThatDiesIsSeenAndRestarted(t *testing.T) {
	f := newFixture(t)
	v, c := f.create(t, f.spec(10))
	deploy(t, c, upload(t, c, "sleeper", sleeper))
	pid := mustInside(t, v, "cat /var/vcap/sys/run/sleeper/sleeper.pid")
	mustInside(t, v, "kill -9 "+pid)
	eventually(t, "monit starts the process again", 20*time.Second, func() bool {
		now, err := inside(t, v, "cat /var/vcap/sys/run/sleeper/sleeper.pid")
		return err == nil && now != pid
	})
	waitForState(t, c, "running")
}

// TestAgentEndsWhileItWritesItsSpec: what is left then, an empty spec, keeps
// the agent from starting for good unless it is taken away.
func TestAgentEndsWhileItWritesItsSpec(t *testing.T) {
	f := newFixture(t)
	v, c := f.create(t, f.spec(10))
	if err := c.Apply(t.Context(), upload(t, c, "sleeper", sleeper)); err != nil {
		t.Fatal(err)
	}
	before := mustInside(t, v, "pidof bosh-agent")
	mustInside(t, v, ": >/var/vcap/bosh/spec.json; kill -9 "+strings.TrimSpace(before))
	eventually(t, "another agent answers", 30*time.Second, func() bool {
		now, err := inside(t, v, "pidof bosh-agent")
		return err == nil && now != before && c.Ping(t.Context()) == nil
	})
	if err := c.Apply(t.Context(), upload(t, c, "sleeper", sleeper)); err != nil {
		t.Errorf("apply to the new agent: %v", err)
	}
}
