package boshrelease_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// node is a VM in small: the stemcell's root in namespaces of its own, with the
// package and the rendered job where the agent puts them.
type node struct {
	t     *testing.T
	cmd   *exec.Cmd
	alive io.Closer // closing it ends the node
	dir   string
	job   string
}

type nodeConfig struct {
	job      string                       // whose scripts are meant; postgresql when empty
	jobs     map[string]map[string]string // content of files by job, relative to /var/vcap/jobs/<job>
	packages map[string]string            // compiled, by name
	storeDir string                       // the persistent disk; none when empty
	certs    map[string]string            // relative to /certs
}

// workspace holds what all tests share: the stemcell's root and the compiled package.
var workspace string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if workspace, err = os.MkdirTemp("", "holdfast-release-test-"); err == nil {
			err = os.Chmod(workspace, 0o755)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(workspace)
		return m.Run()
	}())
}

// stemcellRoot is the unpacked image of the local director's stemcell.
var stemcellRoot = sync.OnceValues(func() (string, error) {
	stemcell, err := lastLine(exec.Command("../deployer/localdirector/stemcell/build.sh"))
	if err != nil {
		return "", err
	}
	root := filepath.Join(workspace, "root")
	unpack := fmt.Sprintf(`set -eo pipefail; mkdir %[1]q; tar -xzOf %[2]q image | tar -xz -C %[1]q`, root, stemcell)
	if out, err := exec.Command("bash", "-c", unpack).CombinedOutput(); err != nil {
		return "", fmt.Errorf("unpack the stemcell: %w\n%s", err, out)
	}
	return root, nil
})

func startNode(t *testing.T, config nodeConfig) *node {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("must run as root: namespaces and mounts are needed")
	}
	lower, err := stemcellRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(workspace, "node-")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, dir: dir, job: cmp.Or(config.job, "postgresql")}
	t.Cleanup(n.remove)
	n.layOut(config)
	n.cmd = exec.Command("bash", "testdata/node.sh", lower, dir, config.storeDir)
	for name, compiled := range config.packages {
		n.cmd.Args = append(n.cmd.Args, name+"="+compiled)
	}
	n.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	var console bytes.Buffer
	n.cmd.Stdout, n.cmd.Stderr = &console, &console
	if n.alive, err = n.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.eventually(10*time.Second, "the node is up", func() error {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", n.cmd.Process.Pid))
		if err == nil && strings.TrimSpace(string(comm)) != "tini" {
			err = errors.New("pid 1 is still " + string(comm))
		}
		return err
	})
	return n
}

// layOut writes what the agent would have put there, with its modes and owners.
func (n *node) layOut(config nodeConfig) {
	n.t.Helper()
	for _, dir := range []string{"root", "work", "upper/certs", "upper/var/vcap/packages", "upper/var/vcap/store",
		"upper/var/vcap/data/sys/run", "upper/var/vcap/data/sys/log"} {
		n.must(os.MkdirAll(filepath.Join(n.dir, dir), 0o755))
	}
	n.must(os.Chmod(n.dir, 0o755))
	n.must(os.Symlink("data/sys", filepath.Join(n.dir, "upper/var/vcap/sys")))
	for job, files := range config.jobs {
		for name, content := range files {
			n.put(filepath.Join("upper/var/vcap/jobs", job, name), content, strings.HasPrefix(name, "bin/"))
		}
	}
	for name, content := range config.certs {
		n.must(os.WriteFile(filepath.Join(n.dir, "upper/certs", name), []byte(content), 0o600))
	}
}

// put writes a file as the agent does.
func (n *node) put(name, content string, executable bool) {
	n.t.Helper()
	path, mode := filepath.Join(n.dir, name), os.FileMode(0o640)
	if executable {
		mode = 0o750
	}
	const vcap = 1000
	n.must(os.MkdirAll(filepath.Dir(path), 0o755))
	n.must(os.WriteFile(path, []byte(content), mode))
	n.must(os.Chown(path, 0, vcap))
}

func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// kill ends all of the node's processes at one instant, as when a VM is lost.
func (n *node) kill() {
	if n.cmd == nil || n.cmd.Process == nil {
		return
	}
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
	_ = n.alive.Close()
	n.cmd = nil
}

func (n *node) remove() {
	n.kill()
	if err := os.RemoveAll(n.dir); err != nil {
		n.t.Error(err)
	}
}

// run executes a shell command in the node, with a bound, and returns its output.
func (n *node) run(command string) (string, error) {
	n.t.Helper()
	return n.runFor(time.Minute, command)
}

func (n *node) runFor(bound time.Duration, command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", "-t", strconv.Itoa(n.cmd.Process.Pid), "-m", "-p", "-n", "-u", "-i",
		"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "bash", "-c", command)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", command, err, bytes.TrimSpace(out))
	}
	return strings.TrimSpace(string(out)), err
}

// do is run for what must succeed.
func (n *node) do(command string) string {
	n.t.Helper()
	out, err := n.run(command)
	n.must(err)
	return out
}

func (n *node) script(name string) string { return "/var/vcap/jobs/" + n.job + "/bin/" + name }

// eventually polls until check succeeds.
func (n *node) eventually(bound time.Duration, what string, check func() error) {
	n.t.Helper()
	deadline := time.Now().Add(bound)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("not within %s: %s: %v", bound, what, err)
		}
		<-tick.C
	}
}

// compiledPackage runs the packaging script in a node, as a director would in a
// compilation VM, and returns the folder with the result.
func compiledPackage(t *testing.T, name string) string {
	t.Helper()
	rel := theRelease(t)
	pkg := thePackage(t, rel, name)
	dir := filepath.Join(workspace, "package-"+pkg.Fingerprint)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	n := startNode(t, nodeConfig{storeDir: t.TempDir()})
	archive, err := rel.Path(pkg.Blob)
	n.must(err)
	source := fmt.Sprintf("/proc/%d/root/var/vcap/store", n.cmd.Process.Pid)
	if out, err := exec.Command("tar", "-xzf", archive, "-C", source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	started := time.Now()
	n.do("mkdir /var/vcap/data/result && cd /var/vcap/store && BOSH_INSTALL_TARGET=/var/vcap/data/result ./packaging")
	t.Logf("compiled in %s", time.Since(started).Round(10*time.Millisecond))
	n.must(os.Rename(filepath.Join(n.dir, "upper/var/vcap/data/result"), dir))
	return dir
}
