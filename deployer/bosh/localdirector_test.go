package bosh_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/secret"

	"github.com/holdfast-osb/holdfast/deployer/bosh"
	"github.com/holdfast-osb/holdfast/deployer/bosh/directortest"
)

// startLocalDirector runs a local director on a stack of its own, with a cloud
// config and a stemcell, and removes all of it when the test ends.
func startLocalDirector(t *testing.T) realDirector {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the local director makes namespaces and mounts: run this test as root")
	}
	work := t.TempDir()
	dir, binary, config := filepath.Join(work, "director"), filepath.Join(work, "holdfast"), filepath.Join(work, "director.yml")
	command(t, "go", "build", "-o", binary, "github.com/holdfast-osb/holdfast/cmd/holdfast")
	d := realDirector{url: "https://" + freeAddress(t), username: "admin", password: rand.Text(), ca: filepath.Join(dir, "tls", "ca.pem")}
	settings := fmt.Sprintf("dir: %s\nlisten: %s\nadmin: {username: %s, password: %s}\n", dir, strings.TrimPrefix(d.url, "https://"), d.username, d.password)
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(work, "director.log"))
	if err != nil {
		t.Fatal(err)
	}
	process := exec.Command(binary, "director", "--config", config)
	process.Stdout, process.Stderr = log, log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopLocalDirector(t, process, binary, dir, log) })

	waitForDirector(t, d)
	var stack struct{ Subnet netip.Prefix }
	if err := json.Unmarshal(command(t, binary, "director", "stack", "--config", config), &stack); err != nil {
		t.Fatalf("holdfast director stack: %v", err)
	}
	cloud := filepath.Join(work, "cloud.yml")
	if err := os.WriteFile(cloud, []byte(cloudConfig(stack.Subnet)), 0o600); err != nil {
		t.Fatal(err)
	}
	d.bosh(t, "update-cloud-config", cloud)
	d.bosh(t, "upload-stemcell", strings.TrimSpace(string(command(t, filepath.Join("..", "localdirector", "stemcell", "build.sh")))))
	return d
}

func stopLocalDirector(t *testing.T, process *exec.Cmd, binary, dir string, log *os.File) {
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop the director: %v", err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { _ = process.Process.Kill() })
	if err := process.Wait(); err != nil {
		t.Errorf("the director ended with %v", err)
	}
	watchdog.Stop()
	if out, err := exec.Command(binary, "director", "destroy", "--dir", dir).CombinedOutput(); err != nil {
		t.Errorf("destroy the stack: %v\n%s", err, out)
	}
	_ = log.Close()
	if content, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
		t.Logf("the director's log ends with:\n%s", content[max(0, len(content)-8000):])
	}
}

func waitForDirector(t *testing.T, d realDirector) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(100 * time.Millisecond) {
		ca, err := os.ReadFile(d.ca)
		if err == nil {
			s := newService(t, &directortest.Fake{URL: d.url, CACert: string(ca), Username: d.username}, func(c *bosh.Config) {
				c.Password = secret.New(d.password)
			})
			err = s.Check(t.Context())
		}
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the director does not come up: %v", err)
		}
	}
}

// cloudConfig is what the suites need, in the first /24 of the stack's subnet.
func cloudConfig(subnet netip.Prefix) string {
	network := netip.PrefixFrom(subnet.Masked().Addr(), 24)
	return fmt.Sprintf(`azs: [{name: z1}]
vm_types: [{name: default, cloud_properties: {memory: 256, cpu: 1, ephemeral_disk: 512}}]
disk_types: [{name: default, disk_size: 64}]
networks:
- {name: default, type: manual, subnets: [{range: %s, gateway: %s, azs: [z1], dns: []}]}
compilation: {workers: 2, reuse_compilation_vms: true, az: z1, vm_type: default, network: default}
`, network, network.Addr().Next())
}

func command(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
