// Package stacktest runs a real stack for tests: the holdfast binary, the
// stemcell and the release as users get them, in a folder of its own that is
// removed, and checked to be removed, when the test ends.
package stacktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
	"github.com/holdfast-osb/holdfast/internal/resolver"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/internal/stack"
	"github.com/holdfast-osb/holdfast/test/chaos/lab"
)

// Stack is a running one.
type Stack struct {
	t      *testing.T
	Binary string
	Folder stack.Folder
	Access stack.Access
	Status stack.Status
	flags  []string
}

// Deadlines. A cold cache is filled by `make artifacts`, not by a test.
const (
	artifactLimit = 15 * time.Minute
	upLimit       = 2 * time.Minute
	commandLimit  = 6 * time.Minute
	connectLimit  = 10 * time.Second
)

// Start builds holdfast and starts a stack.
func Start(t *testing.T, flags ...string) *Stack {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the stack makes namespaces and mounts: run this test as root")
	}
	root := repository(t)
	work, err := os.MkdirTemp("", "holdfast-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(work) })
	s := &Stack{t: t, Binary: filepath.Join(work, "holdfast"), Folder: stack.Folder(filepath.Join(work, "stack"))}
	command(t, root, artifactLimit, "go", "build", "-o", s.Binary, "./cmd/holdfast")
	bosh := command(t, root, artifactLimit, "scripts/tools.sh", "bosh")
	t.Setenv("BOSH", bosh)
	s.flags = append([]string{
		"--stemcell", command(t, root, artifactLimit, "deployer/localdirector/stemcell/build.sh"),
		"--release", command(t, root, artifactLimit, "boshrelease/build.sh"),
		"--compiled-packages", filepath.Join(cache(t), "compiled"),
	}, flags...)
	s.hireJanitor(work)
	t.Cleanup(s.down)
	s.Up()
	return s
}

// hireJanitor starts a process that removes the stack when this one is killed
// and cannot do it itself.
func (s *Stack) hireJanitor(work string) {
	s.t.Helper()
	janitor := exec.Command("bash", "-c", `tail --pid="$1" -f /dev/null; "$2" down --state "$3"; rm -rf "$4"`, "janitor",
		fmt.Sprint(os.Getpid()), s.Binary, string(s.Folder), work)
	janitor.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is not for it
	if err := janitor.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		// The whole group: bash and what it waits for.
		if err := syscall.Kill(-janitor.Process.Pid, syscall.SIGKILL); err != nil {
			s.t.Errorf("dismiss the janitor: %v", err)
		}
		_ = janitor.Wait() // killed: that is its end
	})
}

// Up starts the stack again after its supervisor ended.
func (s *Stack) Up() {
	s.t.Helper()
	args := append([]string{"up", "--detach", "--state", string(s.Folder)}, s.flags...)
	command(s.t, "", upLimit, s.Binary, args...)
	content, err := os.ReadFile(s.Folder.AccessFile())
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(content, &s.Access); err != nil {
		s.t.Fatal(err)
	}
	s.Refresh()
}

// Refresh reads the stack's status again.
func (s *Stack) Refresh() {
	s.t.Helper()
	var status stack.Status // a new one: what is absent must not keep its old value
	if err := json.Unmarshal([]byte(s.CLI("status", "--json")), &status); err != nil {
		s.t.Fatal(err)
	}
	s.Status = status
}

// Broker is a client of the stack's broker.
func (s *Stack) Broker() *osbclient.Broker {
	return &osbclient.Broker{URL: s.Access.URL, Username: s.Access.Username, Password: secret.New(s.Access.Password)}
}

// Connect logs in with a binding's URI as an app on this machine does: names are
// looked up with the stack's resolver before each connect.
func (s *Stack) Connect(ctx context.Context, uri string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	config, err := pgx.ParseConfig(uri)
	if err != nil {
		return nil, fmt.Errorf("understand the URI: %w", err)
	}
	config.LookupFunc = s.Lookup()
	return pgx.ConnectConfig(ctx, config)
}

// Lookup finds the addresses of the instances' names.
func (s *Stack) Lookup() func(ctx context.Context, host string) ([]string, error) {
	return resolver.Lookup(s.Status.Consul.Resolver, s.Status.Consul.Domain)
}

// CLI runs a holdfast command that must succeed and returns what it prints.
func (s *Stack) CLI(args ...string) string {
	s.t.Helper()
	out, err := s.Try(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// Try runs a holdfast command.
func (s *Stack) Try(args ...string) (string, error) {
	return try("", commandLimit, s.Binary, append(args, "--state", string(s.Folder))...)
}

// down removes the stack and fails the test when anything is left.
func (s *Stack) down() {
	if s.t.Failed() {
		for _, part := range []string{"up", "director", "deployer", "resolver", "spi", "broker"} {
			s.t.Logf("the end of %s's log:\n%s", part, tail(s.Folder.LogFile(part)))
		}
		s.showKeepers()
	}
	if out, err := try("", commandLimit, s.Binary, "down", "--state", string(s.Folder)); err != nil {
		s.t.Errorf("remove the stack: %v\n%s", err, out)
	}
	left, err := stack.Leftovers(s.Folder, s.Status.Network)
	if err != nil || len(left) > 0 {
		s.t.Errorf("the stack left %v (%v)", left, err)
	}
}

// keeperLog is where a database's VM has its keeper's log.
const keeperLog = "/var/vcap/sys/log/postgresql/keeper.log"

// showKeepers logs what the keepers of the VMs that run have written last.
func (s *Stack) showKeepers() {
	vms, err := lab.All(s.Folder.DirectorDir())
	if err != nil {
		s.t.Logf("the VMs' logs are not to be had: %v", err)
	}
	for _, vm := range vms {
		log, err := vm.Open(keeperLog, os.O_RDONLY, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue // of another service
		}
		if err != nil {
			s.t.Log(err)
			continue
		}
		content, err := io.ReadAll(log)
		s.t.Logf("the end of the keeper's log at %s:\n%s (%v)", vm.Address, ending(content), errors.Join(err, log.Close()))
	}
}

// Eventually waits for a condition, with a deadline.
func Eventually(t *testing.T, limit time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s: not after %s: %v", what, limit, err)
		case <-tick.C:
		}
	}
}

func repository(t *testing.T) string {
	t.Helper()
	return filepath.Dir(command(t, "", time.Minute, "go", "env", "GOMOD"))
}

func cache(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("HOLDFAST_CACHE"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(home, ".cache", "holdfast")
}

func command(t *testing.T, dir string, limit time.Duration, name string, args ...string) string {
	t.Helper()
	out, err := try(dir, limit, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func try(dir string, limit time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("not after %s: %w", limit, err)
	}
	if err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

func tail(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return ending(content)
}

func ending(log []byte) string { return string(log[max(0, len(log)-4000):]) }
