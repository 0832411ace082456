package localdirector_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release/releasetest"
)

// director is a local director that runs as a process of its own, as in
// production, with the stock bosh CLI pointed at it.
type director struct {
	dir, binary, config, bosh string
	log                       *os.File
	process                   *exec.Cmd
	ended                     chan error
	env                       []string
	stack                     stackRecord
}

// stackRecord is what `holdfast director stack` says.
type stackRecord struct {
	Name   string `json:"name"`
	Subnet string `json:"subnet"`
	Bridge string `json:"bridge"`
}

const commandLimit = 4 * time.Minute

// startDirector builds holdfast, starts a director on a stack of its own and
// removes both when the test ends.
func startDirector(t *testing.T) *director {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the local director makes namespaces and mounts: run this test as root")
	}
	work := t.TempDir()
	d := &director{dir: filepath.Join(work, "director"), binary: filepath.Join(work, "holdfast"), config: filepath.Join(work, "director.yml"), bosh: releasetest.BoshCLI(t)}
	run(t, exec.Command("go", "build", "-o", d.binary, "github.com/holdfast-osb/holdfast/cmd/holdfast"))

	password := rand.Text()
	listen := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	settings := fmt.Sprintf("dir: %s\nlisten: %s\nadmin: {username: admin, password: %s}\nworkers: 3\nresurrection_delay: 1s\n", d.dir, listen, password)
	if err := os.WriteFile(d.config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	d.env = append(os.Environ(), "HOME="+work, "BOSH_NON_INTERACTIVE=true", "BOSH_ENVIRONMENT=https://"+listen, "BOSH_CLIENT=admin",
		"BOSH_CLIENT_SECRET="+password, "BOSH_CA_CERT="+filepath.Join(d.dir, "tls", "ca.pem"))
	var err error
	if d.log, err = os.Create(filepath.Join(work, "director.log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.destroy(t) })
	d.start(t)
	out := run(t, exec.Command(d.binary, "director", "stack", "--config", d.config))
	if err := json.Unmarshal(out, &d.stack); err != nil || d.stack.Name == "" {
		t.Fatalf("`holdfast director stack` says %q: %v", out, err)
	}
	return d
}

func (d *director) start(t *testing.T) {
	t.Helper()
	d.process = exec.Command(d.binary, "director", "--config", d.config)
	d.process.Stdout, d.process.Stderr = d.log, d.log
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	d.ended = make(chan error, 1)
	go func(p *exec.Cmd) { d.ended <- p.Wait() }(d.process)
	poll(t, 30*time.Second, "the director answers", func() bool {
		select {
		case err := <-d.ended:
			d.process = nil
			t.Fatalf("the director ended when it was started: %v", err)
		default:
		}
		return d.try("env").code == 0
	})
}

// stop ends the director's process and leaves its VMs running.
func (d *director) stop(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if d.process == nil {
		return
	}
	if err := d.process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("stop the director: %v", err)
	}
	select {
	case err := <-d.ended:
		if signal == syscall.SIGTERM && err != nil {
			t.Errorf("the director ended with %v", err)
		}
	case <-time.After(40 * time.Second):
		t.Error("the director does not end within 40 s of being asked to")
		_ = d.process.Process.Kill()
		<-d.ended
	}
	d.process = nil
}

// destroy removes the stack and checks that nothing of it is left.
func (d *director) destroy(t *testing.T) {
	if t.Failed() {
		t.Logf("the end of the director's log:\n%s", tail(d.log.Name(), 60))
	}
	d.stop(t, syscall.SIGTERM)
	out, err := exec.Command(d.binary, "director", "destroy", "--dir", d.dir).CombinedOutput()
	if err != nil {
		t.Errorf("destroy the stack: %v\n%s", err, out)
	}
	for what, left := range d.traces() {
		if left != "" {
			t.Errorf("left behind, %s:\n%s", what, left)
		}
	}
	_ = d.log.Close()
}

// traces looks for all that a stack could leave on this machine.
func (d *director) traces() map[string]string {
	found := map[string]string{
		"mounts":       linesWith(readAll("/proc/self/mountinfo"), d.dir),
		"loop devices": linesWith(output("losetup", "--list", "--noheadings"), d.dir),
		"processes":    d.processes(),
	}
	if d.stack.Name != "" {
		found["links"] = linesWith(output("ip", "-brief", "link"), d.stack.Name)
		found["routes"] = linesWith(output("ip", "route", "show", "table", "all"), d.stack.Subnet)
		found["cgroups"] = output("find", "/sys/fs/cgroup", "-type", "d", "-name", d.stack.Name+"*")
	}
	return found
}

// processes lists those that have the director's folder in their arguments or, as a VM's have, among their mounts.
func (d *director) processes() string {
	found := []string{linesWith(output("ps", "-eo", "pid,args"), d.dir)}
	places, _ := filepath.Glob("/proc/[0-9]*/mountinfo") // the pattern is right
	for _, path := range places {
		if mounts := linesWith(readAll(path), d.dir); mounts != "" {
			found = append(found, path+": "+mounts)
		}
	}
	return strings.TrimSpace(strings.Join(found, "\n"))
}

// answer is what a bosh command printed.
type answer struct {
	args   []string
	stdout string
	stderr string
	code   int
}

func (a answer) String() string {
	return fmt.Sprintf("bosh %s: exit %d\n%s%s", strings.Join(a.args, " "), a.code, a.stdout, a.stderr)
}

// try runs a bosh command, however it ends.
func (d *director) try(args ...string) answer { return d.tryWith(d.env, args...) }

func (d *director) tryWith(env []string, args ...string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	// For a terminal the CLI prints more: diffs, headings, how it ended.
	cmd := exec.CommandContext(ctx, d.bosh, append([]string{"--tty", "--no-color"}, args...)...)
	if slices.Contains(args, "--json") {
		cmd = exec.CommandContext(ctx, d.bosh, args...)
	}
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &stdout, &stderr
	err := cmd.Run()
	a := answer{args: args, stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
	if err != nil && a.code <= 0 {
		a.stderr += err.Error()
		a.code = -1
	}
	return a
}

// must runs a bosh command that has to succeed and whose output has to have all of want.
func (d *director) must(t *testing.T, args []string, want ...string) answer {
	t.Helper()
	a := d.try(args...)
	if a.code != 0 {
		t.Fatalf("failed: %s", a)
	}
	a.has(t, want...)
	return a
}

// fails runs a bosh command that has to fail and to say all of want.
func (d *director) fails(t *testing.T, args []string, want ...string) answer {
	t.Helper()
	a := d.try(args...)
	if a.code == 0 {
		t.Fatalf("did not fail: %s", a)
	}
	a.has(t, want...)
	return a
}

func (a answer) has(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(a.stdout+a.stderr, w) {
			t.Errorf("no %q in the output of %s", w, a)
		}
	}
}

func (a answer) hasNot(t *testing.T, unwanted ...string) {
	t.Helper()
	for _, w := range unwanted {
		if strings.Contains(a.stdout+a.stderr, w) {
			t.Errorf("%q is in the output of %s", w, a)
		}
	}
}

// rows runs a bosh command and returns the rows of its tables by column.
func (d *director) rows(t *testing.T, args ...string) []map[string]string {
	t.Helper()
	a := d.must(t, append(args, "--json"))
	var ui struct {
		Tables []struct{ Rows []map[string]string }
	}
	if err := json.Unmarshal([]byte(a.stdout), &ui); err != nil {
		t.Fatalf("%v in %s", err, a)
	}
	var rows []map[string]string
	for _, table := range ui.Tables {
		rows = append(rows, table.Rows...)
	}
	return rows
}

// lastTask returns the newest task's id, of those whose description has the words.
func (d *director) lastTask(t *testing.T, words string) string {
	t.Helper()
	for _, row := range d.rows(t, "tasks", "--recent=30", "--all") {
		if strings.Contains(row["description"], words) {
			return row["id"]
		}
	}
	t.Fatalf("no task %q", words)
	return ""
}

func run(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, stderr.Bytes())
	}
	return out
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// poll waits until something is so.
func poll(t *testing.T, limit time.Duration, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("it is not so after %s that %s", limit, what)
		}
		<-tick.C
	}
}

// get asks a VM's web server.
func get(t *testing.T, ip, path string) string {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + net.JoinHostPort(ip, "8080") + path)
	if err != nil {
		t.Errorf("ask the VM at %s: %v", ip, err)
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Errorf("ask the VM at %s: %v", ip, err)
	}
	return string(text)
}

// silent checks that nothing listens in a VM.
func silent(t *testing.T, ip string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(ip, "8080"), 2*time.Second)
	if err == nil {
		_ = conn.Close()
		t.Errorf("the process in the VM at %s still listens", ip)
	}
}

func output(name string, args ...string) string {
	out, _ := exec.Command(name, args...).Output() // a tool that finds nothing may fail
	return strings.TrimSpace(string(out))
}

func readAll(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

func linesWith(text, part string) string {
	var found []string
	for _, line := range strings.Split(text, "\n") {
		if strings.Contains(line, part) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "\n")
}

func tail(path string, lines int) string {
	all := strings.Split(strings.TrimSpace(readAll(path)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
