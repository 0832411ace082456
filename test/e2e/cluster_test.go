package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/test/stacktest"
)

// clusterCredentials are a binding's.
type clusterCredentials struct {
	Host     string   `json:"host"`
	Hosts    []string `json:"hosts"`
	URI      string   `json:"uri"`
	MultiURI string   `json:"multi_host_uri"`
	CACert   string   `json:"cacrt"`
}

func bindCluster(t *testing.T, s *stacktest.Stack, name string, flags ...string) (c clusterCredentials) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.CLI(append([]string{"bind", "cluster", name, "--json"}, flags...)...)), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// clusterStatus is what `holdfast cluster status` says.
type clusterStatus struct {
	Healthy bool   `json:"healthy"`
	Problem string `json:"problem"`
	Nodes   []struct {
		Node, Address string
		Report        struct {
			Role                string
			Writable, Streaming bool
		}
	} `json:"nodes"`
}

// readClusterStatus asks until the cluster is well.
func readClusterStatus(t *testing.T, s *stacktest.Stack) (status clusterStatus, primary string) {
	t.Helper()
	stacktest.Eventually(t, operationLimit, "the cluster is well", func() error {
		out, err := s.Try("cluster", "status", "cluster", "--json")
		status = clusterStatus{}
		if json.Unmarshal([]byte(out), &status) != nil {
			return err
		}
		if !status.Healthy {
			return errors.New(status.Problem)
		}
		return nil
	})
	for _, n := range status.Nodes {
		if n.Report.Writable {
			primary = n.Node
		}
	}
	if len(status.Nodes) != 3 || primary == "" {
		t.Fatalf("got %+v", status)
	}
	return status, primary
}

// clusters is the life of one: its names, a switchover by its operator, a binding
// made while its primary is dead.
func clusters(t *testing.T, s *stacktest.Stack) {
	s.CLI("create", "postgresql", "cluster-small", "cluster", "-c", `{"replication": "quorum"}`)
	t.Run("names", func(t *testing.T) { clusterNames(t, s) })
	t.Run("tenants are apart in Consul", func(t *testing.T) { tokens(t, s) })
	t.Run("operators", func(t *testing.T) { operators(t, s) })
	t.Run("bind during a failover", func(t *testing.T) { bindInFailover(t, s) })
	t.Run("unbind", func(t *testing.T) { unbindEverywhere(t, s) })
	host := bindCluster(t, s, "default").Host
	s.CLI("delete", "cluster")
	_, err := s.Lookup()(t.Context(), host)
	var fault *net.DNSError
	if !errors.As(err, &fault) || !fault.IsNotFound {
		t.Errorf("the name of a deleted cluster: got %v, want not found", err)
	}
}

// clusterNames checks that each name in the credentials leads where it should,
// and that the certificate is for it.
func clusterNames(t *testing.T, s *stacktest.Stack) {
	app, reader := bindCluster(t, s, "default"), bindCluster(t, s, "reader", "-c", `{"read_only": true}`)
	if !strings.HasPrefix(app.Host, "primary.") || !strings.HasPrefix(reader.Host, "replica.") || len(app.Hosts) != 3 || !strings.HasPrefix(app.Hosts[0], "node-0.") {
		t.Errorf("got %+v and %s", app, reader.Host)
	}
	useSQL(t, s, app.URI, "CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)")
	useSQL(t, s, app.MultiURI, "INSERT INTO t VALUES (2)")
	for _, uri := range []string{reader.URI, reader.MultiURI} {
		if standby := queryOne(t, s, uri, "SELECT pg_is_in_recovery()::text"); standby != "true" {
			t.Errorf("a read-only binding leads to the primary")
		}
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte(app.CACert), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, host := range append([]string{app.Host, reader.Host}, app.Hosts...) {
		uri := strings.NewReplacer(app.Host, host, "sslmode=require", "sslmode=verify-full&sslrootcert="+ca).Replace(app.URI)
		conn, err := s.Connect(t.Context(), uri)
		if err != nil {
			t.Errorf("with the certificate verified: %v", err)
			continue
		}
		conn.Close(t.Context())
	}
	addresses, err := s.Lookup()(t.Context(), reader.Host)
	if err != nil || len(addresses) != 2 {
		t.Errorf("%s: got %v, %v, want both standbys", reader.Host, addresses, err)
	}
}

// operators looks at the nodes and hands the primary's part over.
func operators(t *testing.T, s *stacktest.Stack) {
	app := bindCluster(t, s, "default")
	status, primary := readClusterStatus(t, s)
	if out := s.CLI("cluster", "status", "cluster"); !strings.Contains(out, "NODE") || !strings.Contains(out, primary) || !strings.Contains(out, "held by "+primary) {
		t.Errorf("holdfast cluster status shows\n%s", out)
	}
	target := ""
	for _, n := range status.Nodes {
		if n.Node != primary {
			target = n.Node
		}
	}
	for arguments, want := range map[string]string{"node-7": "there is no node", "": "usage:"} {
		args := []string{"cluster", "switchover"}
		if arguments != "" {
			args = append(args, "cluster", arguments)
		}
		if _, err := s.Try(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("switchover %s: got %v, want %s", arguments, err, want)
		}
	}
	if _, err := s.Try("cluster", "failover", "cluster", target); err == nil || !strings.Contains(err.Error(), "refuses") {
		t.Errorf("failover while a node leads: got %v, want a refusal", err)
	}
	if out := s.CLI("cluster", "switchover", "cluster", target); !strings.Contains(out, target+" is the primary") {
		t.Errorf("holdfast cluster switchover shows %s", out)
	}
	if _, now := readClusterStatus(t, s); now != target {
		t.Errorf("after the switchover %s is the primary, want %s", now, target)
	}
	stacktest.Eventually(t, 10*time.Second, "the name leads to the new primary", func() error { return writes(t, s, app.URI) })
	if rows := queryOne(t, s, app.URI, "SELECT count(*)::text FROM t WHERE n < 3"); rows != "2" {
		t.Errorf("%s of 2 rows are there", rows)
	}
	if _, err := s.Try("cluster", "status", "nobody"); err == nil || !strings.Contains(err.Error(), "no deployment") {
		t.Errorf("status of nobody: got %v", err)
	}
}

// writes wants a server that takes writes.
func writes(t *testing.T, s *stacktest.Stack, uri string) error {
	conn, err := s.Connect(t.Context(), uri)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	_, err = conn.Exec(t.Context(), "INSERT INTO t VALUES (3)")
	return err
}

// bindInFailover kills the primary's VM and binds at once: the credentials work.
func bindInFailover(t *testing.T, s *stacktest.Stack) {
	status, primary := readClusterStatus(t, s)
	for _, n := range status.Nodes {
		if n.Node == primary {
			if err := s.Folder.KillVM(n.Address); err != nil {
				t.Fatal(err)
			}
		}
	}
	begin := time.Now()
	var app clusterCredentials
	stacktest.Eventually(t, time.Minute, "the binding is made", func() error {
		out, err := s.Try("bind", "cluster", "during", "--json")
		if err != nil && !strings.Contains(err.Error(), "try again") {
			t.Fatalf("bind: got %v, want credentials or a word that it may be repeated", err)
		}
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(out), &app)
	})
	t.Logf("bound %.1f s after the VM died", time.Since(begin).Seconds())
	stacktest.Eventually(t, 30*time.Second, "the new binding writes", func() error { return writes(t, s, app.URI) })
	t.Logf("written with it %.1f s after the VM died", time.Since(begin).Seconds())
	s.CLI("unbind", "cluster", "during")
	refused(t, s, app.URI)
	readClusterStatus(t, s)
	t.Logf("three nodes are well %.1f s after the VM died", time.Since(begin).Seconds())
}

// unbindEverywhere has a session on each node and unbinds: none goes on.
func unbindEverywhere(t *testing.T, s *stacktest.Stack) {
	reader := bindCluster(t, s, "reader", "-c", `{"read_only": true}`)
	var sessions []*pgx.Conn
	for _, host := range reader.Hosts {
		conn, err := s.Connect(t.Context(), strings.Replace(reader.URI, reader.Host, host, 1))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		sessions = append(sessions, conn)
	}
	s.CLI("unbind", "cluster", "reader")
	for i, conn := range sessions {
		if err := conn.Ping(t.Context()); err == nil {
			t.Errorf("the session on %s goes on", reader.Hosts[i])
		}
	}
	for _, host := range reader.Hosts {
		refused(t, s, strings.Replace(reader.URI, reader.Host, host, 1))
	}
}
