package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/guard"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/lease/leasetest"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/status"
)

const (
	programs   = "/usr/lib/postgresql/15/bin"
	deployment = "postgresql-lab"
	serverPort = 15432
	statusPort = 18432
)

// TestMain lets this program be pgkeeper.
func TestMain(m *testing.M) {
	if os.Getenv("LAB_PGKEEPER") != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// lab is a cluster of real nodes on loopback addresses of this machine, with a
// real Consul server.
type lab struct {
	t      *testing.T
	folder string
	consul *leasetest.Server
	token  string
	mode   string
	nodes  []*labNode
}

type labNode struct {
	lab     *lab
	name    string
	address string
	folder  string
	guard   *exec.Cmd
}

func newLab(t *testing.T, mode string, count int) *lab {
	t.Helper()
	consul := leasetest.Start(t)
	return newLabWith(t, mode, count, consul, consul.Token(deployment))
}

// newLabWith makes a lab with this Consul, or without any.
func newLabWith(t *testing.T, mode string, count int, consul *leasetest.Server, token string) *lab {
	t.Helper()
	folder, err := os.MkdirTemp("", "keeper-lab-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, folder: folder, mode: mode, consul: consul, token: token}
	makeCertificate(t, folder)
	// A network of its own for each run: 127.x.y.0/24.
	network := fmt.Sprintf("127.%d.%d.", 10+os.Getpid()%200, 1+os.Getpid()/200%250)
	for i := range count {
		n := &labNode{lab: l, name: fmt.Sprintf("node-%d", i), address: network + strconv.Itoa(10+i), folder: fmt.Sprintf("%s/node-%d", folder, i)}
		n.configure()
		l.nodes = append(l.nodes, n)
		t.Cleanup(n.stop)
	}
	return l
}

func (n *labNode) configure() {
	t := n.lab.t
	t.Helper()
	for _, sub := range []string{"", "store", "conf.d", "run"} {
		path := filepath.Join(n.folder, sub)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	asPostgres(t, "chown", "-R", "postgres:postgres", n.folder)
	n.put("postgresql.conf", fmt.Sprintf(`data_directory = '%[1]s/store/data'
hba_file = '%[1]s/pg_hba.conf'
include_dir = '%[1]s/conf.d'
listen_addresses = '%[2]s'
port = %[3]d
unix_socket_directories = '%[1]s/run'
shared_buffers = 16MB
wal_log_hints = on
wal_sender_timeout = 3s
wal_receiver_timeout = 5s
wal_retrieve_retry_interval = 500ms
max_slot_wal_keep_size = 256MB
log_line_prefix = '%%m [%%p] %%a '
`, n.folder, n.address, serverPort))
	n.put("reserve", "")
	n.put("pg_hba.conf", "local all all trust\nhost all all 127.0.0.0/8 trust\nhost replication all 127.0.0.0/8 trust\n")
	config := map[string]any{
		"deployment": deployment, "node": n.name, "address": n.address, "replication": n.lab.mode, "user": "postgres", "log_level": "INFO",
		"postgresql": map[string]any{
			"bin": programs, "data": n.folder + "/store/data", "config_file": n.folder + "/postgresql.conf", "keeper_conf": n.folder + "/conf.d/zz-keeper.conf", "reserve": n.folder + "/reserve",
			"socket_directory": n.folder + "/run", "port": serverPort, "log": n.folder + "/start.log", "initdb": []string{"--auth=trust", "--data-checksums", "--no-instructions"},
		},
		"replication_login": map[string]any{"user": "repmgr", "database": "repmgr"},
		"guard":             map[string]any{"socket": n.folder + "/run/guard.sock", "pid_file": n.folder + "/run/guard.pid"},
		"keeper":            map[string]any{"log": n.folder + "/keeper.log"},
		"status":            map[string]any{"port": statusPort, "certificate": n.lab.folder + "/server.crt", "private_key": n.lab.folder + "/server.key", "ca": n.lab.folder + "/server.crt", "token": "lab"},
	}
	if n.lab.consul != nil {
		config["consul"] = map[string]any{"servers": []string{n.lab.consul.Address}, "token": n.lab.token}
	}
	text, err := json.MarshalIndent(config, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	n.put("pgkeeper.json", string(text))
}

func (n *labNode) put(name, content string) {
	n.lab.t.Helper()
	if err := os.WriteFile(filepath.Join(n.folder, name), []byte(content), 0o644); err != nil {
		n.lab.t.Fatal(err)
	}
}

// start starts the guard, as monit does.
func (n *labNode) start() {
	n.lab.t.Helper()
	log, err := os.OpenFile(n.folder+"/guard.log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		n.lab.t.Fatal(err)
	}
	defer log.Close()
	n.guard = exec.Command(os.Args[0], "guard", "--config", n.folder+"/pgkeeper.json")
	n.guard.Env = append(os.Environ(), "LAB_PGKEEPER=1")
	n.guard.Stdout, n.guard.Stderr = log, log
	// A test that is ended from outside must leave nothing.
	n.guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	if err := n.guard.Start(); err != nil {
		n.lab.t.Fatal(err)
	}
}

// killGuard kills the guard and waits for it; the rest is up to the keeper and the kernel.
func (n *labNode) killGuard() {
	_ = n.guard.Process.Kill()
	_ = n.guard.Wait()
	n.guard = nil
}

// die kills all of the node's processes at once, as a VM that dies.
func (n *labNode) die() {
	pids := []int{n.guard.Process.Pid, n.keeper()}
	for _, pid := range pids {
		if pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = n.guard.Wait()
	n.guard = nil
	if _, err := guard.Sweep(n.folder + "/store/data"); err != nil {
		n.lab.t.Error(err)
	}
}

func (n *labNode) stop() {
	if n.guard == nil {
		return
	}
	if pid := n.keeper(); pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	_, _ = n.command("stop")
	_ = n.guard.Process.Kill()
	_ = n.guard.Wait()
	n.guard = nil
}

// keeper returns the pid of the node's keeper.
func (n *labNode) keeper() int {
	text, err := os.ReadFile(n.folder + "/run/guard.keeper")
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// postmaster returns the pid of the node's postmaster.
func (n *labNode) postmaster() int {
	n.lab.t.Helper()
	text, err := os.ReadFile(n.folder + "/store/data/postmaster.pid")
	if err != nil {
		n.lab.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0])
	if err != nil {
		n.lab.t.Fatal(err)
	}
	return pid
}

// command runs pgkeeper on the node.
func (n *labNode) command(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], append(args, "--config", n.folder+"/pgkeeper.json")...)
	cmd.Env = append(os.Environ(), "LAB_PGKEEPER=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.String())
	}
	return strings.TrimSpace(string(out)), err
}

func (n *labNode) status() (status.Report, error) {
	var report status.Report
	out, err := n.command("status")
	if err != nil {
		return report, err
	}
	return report, json.Unmarshal([]byte(out), &report)
}

// asPostgres runs a program that must succeed.
func asPostgres(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
}

// until polls with a deadline; when it fails everybody's logs are shown.
func (l *lab) until(within time.Duration, what string, holds func() bool) time.Duration {
	l.t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > within {
			l.logs()
			l.t.Fatalf("not within %s: %s", within, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(began)
}

func (l *lab) logs() {
	for _, n := range l.nodes {
		for _, name := range []string{"guard.log", "keeper.log", "start.log"} {
			out, _ := exec.Command("tail", "-n", "40", filepath.Join(n.folder, name)).Output()
			l.t.Logf("--- %s %s\n%s", n.name, name, out)
		}
		report, err := n.status()
		text, _ := json.Marshal(report)
		l.t.Logf("--- %s status %s %v", n.name, text, err)
	}
}

func makeCertificate(t *testing.T, folder string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"lab"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"server.crt": {Type: "CERTIFICATE", Bytes: der}, "server.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
