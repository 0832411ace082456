package postgresql

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
	"github.com/holdfast-osb/holdfast/spi/spitest"
)

func newService(t *testing.T) (*Service, int) {
	t.Helper()
	config := Defaults()
	config.Port, config.Consul = freePort(t), sharedConsul(t).config
	config.PrimaryTimeout = time.Second // no failover is waited for
	service, err := New(config, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	return service, config.Port
}

func TestContract(t *testing.T) {
	for name, open := range map[string]func(*testing.T, *Service) spi.Service{
		"direct": func(_ *testing.T, s *Service) spi.Service { return s },
		"http": func(t *testing.T, s *Service) spi.Service {
			token := secret.New("test-token")
			server := httptest.NewServer(spi.NewHandler(s, token, slog.New(slog.NewTextHandler(io.Discard, nil))))
			t.Cleanup(server.Close)
			client, err := spi.NewClient(server.URL, token)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			return client
		},
	} {
		t.Run(name, func(t *testing.T) {
			spitest.Run(t, func(t *testing.T) spitest.Provider {
				service, port := newService(t)
				return spitest.Provider{
					Service: open(t, service),
					Deploy: func(t *testing.T, p spi.Preparation) []spi.Node {
						startServer(t, port, p)
						if err := registerAt(sharedConsul(t).management(t), spitest.Deployment, "127.0.0.1", spitest.Deployment); err != nil {
							t.Fatal(err)
						}
						return []spi.Node{{Name: "postgresql/0", Address: "127.0.0.1"}}
					},
					BadParameters: map[string]string{
						"parameters.colour": `{"colour": "red"}`,
						"parameters.idle_in_transaction_timeout_seconds": `{"idle_in_transaction_timeout_seconds": 1.5}`,
						"parameters": `[1]`,
					},
					BadBindParameters: map[string]string{
						"parameters.read_only":        `{"read_only": "yes"}`,
						"parameters.connection_limit": `{"connection_limit": 0}`,
						"parameters.superuser":        `{"superuser": true}`,
					},
					OtherBindParameters: `{"read_only": true}`,
				}
			})
		})
	}
}

// instance is a configured one with a real server.
type instance struct {
	*testing.T
	service *Service
	server  *server
	spi     spi.Instance
}

func newInstance(t *testing.T) *instance {
	service, port := newService(t)
	in := spi.Instance{ID: "i1", Deployment: "hf-i1", ServiceID: service.config.ServiceID, PlanID: service.config.Plans[0].ID}
	p, err := service.Prepare(t.Context(), spi.PrepareRequest{Instance: in})
	if err != nil {
		t.Fatal(err)
	}
	in.Attributes, in.Secrets = p.Attributes, p.Secrets
	in.Nodes = []spi.Node{{Name: "postgresql/0", Address: "127.0.0.1"}}
	server := startServer(t, port, p)
	if err := service.Configure(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	return &instance{T: t, service: service, server: server, spi: in}
}

func (i *instance) request(id, parameters string) spi.BindRequest {
	return spi.BindRequest{Instance: i.spi, BindingID: id, Parameters: json.RawMessage(parameters)}
}

func (i *instance) bind(id, parameters string) spi.Credentials {
	i.Helper()
	credentials, err := i.service.Bind(i.Context(), i.request(id, parameters))
	if err != nil {
		i.Fatalf("bind %s: %v", id, err)
	}
	return credentials
}

// connect logs in at an address: the names in a URI are answered by nobody here.
func connect(ctx context.Context, address, uri string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(uri)
	if err != nil {
		return nil, err
	}
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{address}, nil }
	return pgx.ConnectConfig(ctx, config)
}

func (i *instance) login(credentials spi.Credentials) *pgx.Conn {
	i.Helper()
	conn, err := connect(i.Context(), "127.0.0.1", credentials["uri"].(string))
	if err != nil {
		i.Fatalf("log in: %v", err)
	}
	i.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (i *instance) exec(conn *pgx.Conn, statements ...string) {
	i.Helper()
	for _, statement := range statements {
		if _, err := conn.Exec(i.Context(), statement); err != nil {
			i.Fatalf("%s: %v", statement, err)
		}
	}
}

// TestBindingsShareWhatTheyMake covers what made peers' second bindings
// useless: objects of the first one that the second cannot use, also when a
// pool has undone the role that the session acts as.
func TestBindingsShareWhatTheyMake(t *testing.T) {
	i := newInstance(t)
	first := i.login(i.bind("first", ""))
	i.exec(first, "CREATE TABLE a (n int)", "INSERT INTO a VALUES (1)")
	for n, reset := range []string{"RESET ROLE", "SET ROLE NONE", "DISCARD ALL"} {
		i.exec(first, reset,
			fmt.Sprintf("CREATE TABLE t%d (n int)", n), fmt.Sprintf("CREATE VIEW v%d AS SELECT * FROM t%d", n, n),
			fmt.Sprintf("CREATE SCHEMA s%d", n), fmt.Sprintf("CREATE TABLE s%d.t AS SELECT 1 AS n", n),
			fmt.Sprintf("CREATE FUNCTION f%d() RETURNS int LANGUAGE sql AS 'SELECT 1'", n), fmt.Sprintf("CREATE TYPE e%d AS ENUM ('x')", n),
			"CREATE TEMP TABLE scratch (n int)", "INSERT INTO scratch VALUES (1)", "DROP TABLE scratch")
	}
	var foreign int
	err := first.QueryRow(t.Context(), `SELECT count(*) FROM pg_class WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace) AND relowner <> 'app_owner'::regrole`).Scan(&foreign)
	if err != nil || foreign != 0 {
		t.Errorf("%d objects do not belong to the owner role (%v)", foreign, err)
	}
	second := i.login(i.bind("second", ""))
	for n := range 3 {
		i.exec(second, fmt.Sprintf("INSERT INTO t%d VALUES (2)", n), fmt.Sprintf("ALTER TABLE t%d ADD COLUMN m int", n),
			fmt.Sprintf("INSERT INTO s%d.t VALUES (2)", n), fmt.Sprintf("DROP VIEW v%d", n), fmt.Sprintf("DROP FUNCTION f%d()", n), fmt.Sprintf("DROP TYPE e%d", n))
	}
	reader := i.login(i.bind("reader", `{"read_only": true}`))
	for n := range 3 {
		i.exec(reader, fmt.Sprintf("SELECT * FROM t%d", n), fmt.Sprintf("SELECT * FROM s%d.t", n))
	}
}

func TestReadOnlyBindingsChangeNothing(t *testing.T) {
	i := newInstance(t)
	i.exec(i.login(i.bind("writer", "")), "CREATE TABLE a (n int)")
	reader := i.login(i.bind("reader", `{"read_only": true}`))
	i.exec(reader, "SET default_transaction_read_only = off", "SELECT * FROM a") // the promise rests on rights, not on a setting
	for _, statement := range []string{"INSERT INTO a VALUES (1)", "DROP TABLE a", "CREATE TABLE b (n int)", "CREATE SCHEMA s", "SET ROLE app_owner"} {
		if _, err := reader.Exec(t.Context(), statement); !hasCode(err, "42501") {
			t.Errorf("%s: got %v, want insufficient privilege", statement, err)
		}
	}
}

func TestTenantsHaveNoPower(t *testing.T) {
	i := newInstance(t)
	credentials := i.bind("b", "")
	conn := i.login(credentials)
	for _, statement := range []string{
		"CREATE ROLE x", "CREATE DATABASE x", "COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('/etc/passwd')", "SELECT rolpassword FROM pg_authid",
		"SET ROLE holdfast", "ALTER ROLE app_owner LOGIN", "ALTER SYSTEM SET fsync = off", "CREATE EVENT TRIGGER x ON ddl_command_end EXECUTE FUNCTION f()",
		"GRANT pg_read_server_files TO CURRENT_USER", "DROP DATABASE app",
	} {
		if _, err := conn.Exec(t.Context(), statement); err == nil {
			t.Errorf("%s succeeded", statement)
		}
	}
	for _, database := range []string{"postgres", "template1"} {
		uri := strings.Replace(credentials["uri"].(string), "/app?", "/"+database+"?", 1)
		if other, err := connect(t.Context(), "127.0.0.1", uri); err == nil {
			other.Close(t.Context())
			t.Errorf("the binding opens the database %s", database)
		}
	}
	if plain, err := connect(t.Context(), "127.0.0.1", strings.Replace(credentials["uri"].(string), "sslmode=require", "sslmode=disable", 1)); err == nil {
		plain.Close(t.Context())
		t.Error("the server takes connections without TLS")
	}
}

func TestUnbindEndsSessionsAndKeepsWhatWasMade(t *testing.T) {
	i := newInstance(t)
	credentials := i.bind("first", "")
	conn := i.login(credentials)
	i.exec(conn, "CREATE TABLE a (n int)", "SELECT lo_create(0)", "BEGIN", "INSERT INTO a VALUES (1)")
	if err := i.service.Unbind(t.Context(), i.request("first", "")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "COMMIT"); err == nil {
		t.Error("the binding's session outlived it")
	}
	if again, err := connect(t.Context(), "127.0.0.1", credentials["uri"].(string)); err == nil {
		again.Close(t.Context())
		t.Error("the removed credentials still log in")
	}
	i.exec(i.login(i.bind("second", "")), "INSERT INTO a VALUES (2)", "DROP TABLE a")
}

// TestUnbindIsNotStuckOnLocks covers an object that is the binding's own while
// another session holds a lock on it.
func TestUnbindIsNotStuckOnLocks(t *testing.T) {
	i := newInstance(t)
	credentials := i.bind("first", "")
	first, second := i.login(credentials), i.login(i.bind("second", ""))
	role := credentials["username"].(string)
	i.exec(first, "CREATE TABLE a (n int)")
	// Only a superuser can get an object into this state now.
	i.server.psql("app", "--command", "ALTER TABLE a OWNER TO "+role+"; GRANT SELECT ON a TO app_owner")
	i.exec(second, "BEGIN", "SELECT * FROM a")
	if err := i.service.Unbind(t.Context(), i.request("first", "")); err != nil {
		t.Fatalf("unbind while a lock is held: %v", err)
	}
	if again, err := connect(t.Context(), "127.0.0.1", credentials["uri"].(string)); err == nil {
		again.Close(t.Context())
		t.Error("the removed credentials still log in")
	}
	if _, err := i.service.Credentials(t.Context(), i.request("first", "")); !fault.Is(err, fault.NotFound) {
		t.Errorf("got %v, want NotFound", err)
	}
	i.exec(second, "COMMIT")
	if err := i.service.Unbind(t.Context(), i.request("second", "")); err != nil {
		t.Fatal(err)
	}
	var left int
	third := i.login(i.bind("third", ""))
	if err := third.QueryRow(t.Context(), "SELECT count(*) FROM pg_roles WHERE rolname = $1", role).Scan(&left); err != nil || left != 0 {
		t.Errorf("the closed role was not swept: %d, %v", left, err)
	}
}

func TestConnectionLimits(t *testing.T) {
	i := newInstance(t)
	credentials := i.bind("b", `{"connection_limit": 2}`)
	i.login(credentials)
	i.login(credentials)
	if third, err := connect(t.Context(), "127.0.0.1", credentials["uri"].(string)); !hasCode(err, "53300") {
		if err == nil {
			third.Close(t.Context())
		}
		t.Errorf("a third connection: got %v, want too many connections", err)
	}
	// A tenant that takes all there is cannot keep the provider out.
	greedy := i.bind("greedy", "")
	for {
		conn, err := connect(t.Context(), "127.0.0.1", greedy["uri"].(string))
		if err != nil {
			if !hasCode(err, "53300") {
				t.Fatal(err)
			}
			break
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
	}
	if err := i.service.Unbind(t.Context(), i.request("greedy", "")); err != nil {
		t.Errorf("unbind of the greedy binding: %v", err)
	}
}

// TestHostileDefaults covers a tenant whose database's defaults would apply to
// the provider's sessions as well.
func TestHostileDefaults(t *testing.T) {
	i := newInstance(t)
	conn := i.login(i.bind("b", ""))
	i.exec(conn,
		"ALTER DATABASE app SET role = 'app_owner'", "ALTER DATABASE app SET default_transaction_read_only = on", "ALTER DATABASE app SET statement_timeout = 1",
		"ALTER DATABASE app SET search_path = 'evil'", "ALTER DATABASE app SET idle_in_transaction_session_timeout = 1", "ALTER DATABASE app SET lock_timeout = 1")
	i.service.connections.forget(i.spi.ID) // kept connections have the earlier defaults
	i.bind("c", "")
	if err := i.service.Unbind(t.Context(), i.request("b", "")); err != nil {
		t.Errorf("unbind: %v", err)
	}
	if err := i.service.Configure(t.Context(), i.spi); err != nil {
		t.Errorf("configure: %v", err)
	}
}

func TestManyBindsAtOnce(t *testing.T) {
	i := newInstance(t)
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			id := fmt.Sprintf("b%d", n)
			for _, step := range []func() error{
				func() error { _, err := i.service.Bind(t.Context(), i.request(id, "")); return err },
				func() error { return i.service.Unbind(t.Context(), i.request(id, "")) },
			} {
				if err := step(); err != nil && !fault.Is(err, fault.Unavailable) {
					t.Errorf("%s: %v", id, err)
				}
			}
		})
	}
	wait.Wait()
}

// TestServerRestart covers kept connections that died with the server.
func TestServerRestart(t *testing.T) {
	i := newInstance(t)
	i.bind("before", "")
	i.server.stop()
	if _, err := i.service.Bind(t.Context(), i.request("during", "")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("bind without a server: got %v, want Unavailable", err)
	}
	i.server.start()
	i.login(i.bind("after", ""))
}

func TestNoSecretReachesTheServersLog(t *testing.T) {
	i := newInstance(t)
	credentials := i.bind("b", "")
	i.bind("b", "") // refused by the server and checked instead
	key, err := readInstanceKey(i.spi.Secrets[secretKey])
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := key.verifier("b")
	if err != nil {
		t.Fatal(err)
	}
	i.server.stop()
	for name, value := range map[string]string{"password": credentials["password"].(string), "verifier": verifier} {
		if strings.Contains(i.server.log(), value) {
			t.Errorf("the %s is in the server's log", name)
		}
	}
}
