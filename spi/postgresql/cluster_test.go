package postgresql

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
)

// cluster is a configured instance of a primary and a standby. The standby is
// its first node.
type cluster struct {
	*instance
	primary, standby *server
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	service, port := newService(t)
	service.config.PrimaryTimeout = 10 * time.Second
	in := spi.Instance{ID: "c1", Deployment: "postgresql-c1", ServiceID: service.config.ServiceID, PlanID: service.planNamed(t, "cluster-small").ID}
	p, err := service.Prepare(t.Context(), spi.PrepareRequest{Instance: in})
	if err != nil {
		t.Fatal(err)
	}
	in.Attributes, in.Secrets = p.Attributes, p.Secrets
	in.Nodes = []spi.Node{{Name: "postgresql/0", Index: 0, Address: "127.0.0.2"}, {Name: "postgresql/1", Index: 1, Address: "127.0.0.1"}}
	primary := startServer(t, port, p)
	standby := primary.startStandby("127.0.0.2", p)
	if err := registerAt(sharedConsul(t).management(t), in.Deployment, "127.0.0.1", in.Deployment); err != nil {
		t.Fatal(err)
	}
	if err := service.Configure(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	return &cluster{&instance{T: t, service: service, server: primary, spi: in}, primary, standby}
}

func (c *cluster) loginAt(address string, credentials spi.Credentials) (*pgx.Conn, error) {
	c.Helper()
	conn, err := connect(c.Context(), address, credentials["uri"].(string))
	if err == nil {
		c.Cleanup(func() { conn.Close(context.Background()) })
	}
	return conn, err
}

func TestCredentialsAreNames(t *testing.T) {
	c := newCluster(t)
	const names = "postgresql-c1.service.holdfast.internal"
	for parameters, want := range map[string]struct{ host, session string }{
		``:                    {"primary." + names, "read-write"},
		`{"read_only": true}`: {"replica." + names, "prefer-standby"},
	} {
		credentials := c.bind("names"+parameters, parameters)
		if credentials["host"] != want.host {
			t.Errorf("%s: got host %v, want %s", parameters, credentials["host"], want.host)
		}
		hosts := credentials["hosts"].([]any)
		if len(hosts) != 2 || hosts[0] != "node-0."+names || hosts[1] != "node-1."+names {
			t.Errorf("got hosts %v", hosts)
		}
		config, err := pgx.ParseConfig(credentials["multi_host_uri"].(string))
		if err != nil || config.Host != "node-0."+names || len(config.Fallbacks) == 0 {
			t.Errorf("got %v, %v", credentials["multi_host_uri"], err)
		}
		// The multi-host URI finds a server, whatever the order of the nodes.
		config.LookupFunc = func(_ context.Context, host string) ([]string, error) {
			return []string{map[string]string{"node-0." + names: "127.0.0.2", "node-1." + names: "127.0.0.1"}[host]}, nil
		}
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		var standby bool
		if err := conn.QueryRow(t.Context(), "SELECT pg_is_in_recovery()").Scan(&standby); err != nil || standby != (want.session == "prefer-standby") {
			t.Errorf("%s: led to a standby: %t (%v)", want.session, standby, err)
		}
	}
}

// An app that wants to know whom it talks to can, by every name that it is given.
func TestCertificateCoversEveryName(t *testing.T) {
	c := newCluster(t)
	credentials := c.bind("b", "")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte(credentials["cacrt"].(string)), 0o600); err != nil {
		t.Fatal(err)
	}
	replica := c.bind("r", `{"read_only": true}`)["host"]
	for _, host := range append([]any{credentials["host"], replica}, credentials["hosts"].([]any)...) {
		uri := strings.Replace(credentials["uri"].(string), credentials["host"].(string), host.(string), 1)
		uri = strings.Replace(uri, "sslmode=require", "sslmode=verify-full&sslrootcert="+ca, 1)
		conn, err := connect(t.Context(), "127.0.0.1", uri)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		conn.Close(t.Context())
	}
	other := strings.Replace(credentials["uri"].(string), c.spi.Deployment, "postgresql-c2", 1)
	other = strings.Replace(other, "sslmode=require", "sslmode=verify-full&sslrootcert="+ca, 1)
	if conn, err := connect(t.Context(), "127.0.0.1", other); err == nil {
		conn.Close(t.Context())
		t.Error("the server passes for another instance's")
	}
}

// With quorum commit and no standby a commit waits without end: the caller gets a
// clear fault in time, and repeats.
func TestBindWithoutAQuorum(t *testing.T) {
	c := newCluster(t)
	c.primary.psql("postgres", "--command", "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (nobody)'", "--command", "SELECT pg_reload_conf()")
	c.primary.waitForSyncRep()
	c.service.config.StatementTimeout, c.service.config.PrimaryTimeout = time.Second, time.Second
	for range 2 {
		began := time.Now()
		_, err := c.service.Bind(t.Context(), c.request("b", ""))
		if !fault.Is(err, fault.Unavailable) || time.Since(began) > 10*time.Second {
			t.Fatalf("got %v after %s, want Unavailable within the bound", err, time.Since(began))
		}
	}
	c.primary.psql("postgres", "--command", "ALTER SYSTEM RESET synchronous_standby_names", "--command", "SELECT pg_reload_conf()")
	eventually(t, "the binding can be made", func() error {
		credentials, err := c.service.Bind(t.Context(), c.request("b", ""))
		if err != nil {
			return err
		}
		_, err = c.loginAt("127.0.0.1", credentials)
		return err
	})
}

func TestUnbindEndsSessionsOnEveryNode(t *testing.T) {
	c := newCluster(t)
	credentials := c.bind("reader", `{"read_only": true}`)
	var sessions []*pgx.Conn
	for _, address := range []string{"127.0.0.1", "127.0.0.2"} {
		// A binding works everywhere as soon as it is there.
		conn, err := c.loginAt(address, credentials)
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, conn)
	}
	if err := c.service.Unbind(t.Context(), c.request("reader", "")); err != nil {
		t.Fatal(err)
	}
	for i, conn := range sessions {
		if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
			t.Errorf("the session on server %d lives on", i)
		}
	}
	for _, address := range []string{"127.0.0.1", "127.0.0.2"} {
		if _, err := c.loginAt(address, credentials); err == nil {
			t.Errorf("the login at %s is open", address)
		}
	}
	// A standby that is gone does not keep anybody from unbinding.
	c.bind("second", "")
	c.standby.stop()
	if err := c.service.Unbind(t.Context(), c.request("second", "")); err != nil {
		t.Errorf("with a standby down: %v", err)
	}
}

func TestBindDuringAFailover(t *testing.T) {
	c := newCluster(t)
	c.bind("before", "")
	c.primary.stop()
	done := make(chan error, 1)
	go func() {
		_, err := c.service.Bind(t.Context(), c.request("during", ""))
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("bound without a primary: %v", err)
	case <-time.After(time.Second): // it looks for one
	}
	c.standby.run("pg_ctl", "promote", "--pgdata", c.standby.path("data"))
	if err := <-done; err != nil {
		t.Fatalf("bind during a failover: %v", err)
	}
	if _, err := c.loginAt("127.0.0.2", c.bind("during", "")); err != nil {
		t.Errorf("log in at the new primary: %v", err)
	}
	// Nobody takes writes: a clear fault within the bound.
	c.standby.stop()
	c.service.config.PrimaryTimeout = time.Second
	began := time.Now()
	_, err := c.service.Bind(t.Context(), c.request("after", ""))
	if !fault.Is(err, fault.Unavailable) || time.Since(began) > 5*time.Second {
		t.Errorf("got %v after %s, want Unavailable within the bound", err, time.Since(began))
	}
}

func TestStatusOfACluster(t *testing.T) {
	c := newCluster(t)
	status, err := c.service.Status(t.Context(), c.spi)
	if err != nil || !status.Healthy {
		t.Fatalf("got %+v, %v", status, err)
	}
	if status.Nodes[0].Role != "standby" || status.Nodes[0].LagBytes == nil || status.Nodes[1].Role != "primary" {
		t.Errorf("got %+v", status.Nodes)
	}
	c.standby.stop()
	if status, err = c.service.Status(t.Context(), c.spi); err != nil || status.Healthy {
		t.Errorf("with a standby down: got %+v, %v", status, err)
	}
}

// What an instance lacks is made, what it has is kept.
func TestSecretsGrow(t *testing.T) {
	whole, err := ensureSecrets(nil, "postgresql-1", []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	before := maps.Clone(whole)
	delete(before, secretReplication)
	delete(before, secretReplicationKey)
	after, err := ensureSecrets(before, "postgresql-1", []string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range before {
		if after[name].Reveal() != value.Reveal() {
			t.Errorf("%s changed", name)
		}
	}
	if after[secretReplication].Empty() || after[secretReplicationKey].Empty() {
		t.Error("the certificate for replication is not made")
	}
	broken := secret.Values{secretKey: before[secretKey], secretCA: before[secretCA]}
	if _, err := ensureSecrets(broken, "postgresql-1", nil); err == nil {
		t.Error("a CA without its key is replaced")
	}
}
