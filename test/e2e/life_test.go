// Package e2e drives the whole real stack through its front doors.
package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	osb "sigs.k8s.io/go-open-service-broker-client/v2"

	"github.com/holdfast-osb/holdfast/internal/osbclient"
	"github.com/holdfast-osb/holdfast/test/stacktest"
)

// operationLimit bounds a create, update or delete.
const operationLimit = 3 * time.Minute

func TestStack(t *testing.T) {
	s := stacktest.Start(t)
	t.Run("names", func(t *testing.T) { names(t, s) })
	t.Run("own client", func(t *testing.T) { ownClient(t, s) })
	t.Run("service-catalog client", func(t *testing.T) { catalogClient(t, s) })
	t.Run("hostile provisions", func(t *testing.T) { hostileProvisions(t, s) })
	t.Run("bindings", func(t *testing.T) { bindings(t, s) })
	t.Run("clusters", func(t *testing.T) { clusters(t, s) })
	t.Run("parts that die are restarted", func(t *testing.T) { deadParts(t, s) })
	t.Run("supervisor killed", func(t *testing.T) { deadSupervisor(t, s) })
}

// ownClient is the life of an instance with the commands a person types.
func ownClient(t *testing.T, s *stacktest.Stack) {
	if out := s.CLI("services"); !strings.Contains(out, "single-small") || !strings.Contains(out, "single-large") {
		t.Fatalf("holdfast services shows\n%s", out)
	}
	s.CLI("create", "postgresql", "single-small", "mydb", "-c", `{"idle_in_transaction_timeout_seconds": 600}`)
	var credentials map[string]any
	if err := json.Unmarshal([]byte(s.CLI("bind", "mydb", "--json")), &credentials); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"host", "hosts", "port", "name", "database", "username", "password", "uri", "multi_host_uri", "jdbcUrl", "cacrt"} {
		if credentials[key] == nil {
			t.Errorf("the credentials have no %s", key)
		}
	}
	uri := fmt.Sprint(credentials["uri"])
	useSQL(t, s, uri, "CREATE TABLE notes (text text)", "INSERT INTO notes VALUES ('kept')")

	s.CLI("update", "mydb", "--plan", "single-large")
	if got := queryOne(t, s, uri, "SELECT text FROM notes"); got != "kept" {
		t.Errorf("after the move to single-large: got %q, want the row that was written before", got)
	}
	if got := queryOne(t, s, uri, "SHOW idle_in_transaction_session_timeout"); got != "10min" {
		t.Errorf("idle_in_transaction_session_timeout: got %s, want the parameter's 10min", got)
	}
	if out := s.CLI("list"); !strings.Contains(out, "mydb") || !strings.Contains(out, "single-large") || !strings.Contains(out, "succeeded") {
		t.Errorf("holdfast list shows\n%s", out)
	}
	s.CLI("unbind", "mydb")
	refused(t, s, uri)
	s.CLI("delete", "mydb")
	s.Refresh()
	if len(s.Status.Deployments) > 0 {
		t.Errorf("deployments left: %v", s.Status.Deployments)
	}
}

// catalogClient is the same through the client that Kubernetes' service
// catalog used, an OSB client that is not ours.
func catalogClient(t *testing.T, s *stacktest.Stack) {
	config := osb.DefaultClientConfiguration()
	config.URL, config.APIVersion = s.Access.URL, osb.LatestAPIVersion()
	config.AuthConfig = &osb.AuthConfig{BasicAuthConfig: &osb.BasicAuthConfig{Username: s.Access.Username, Password: s.Access.Password}}
	client, err := osb.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := client.GetCatalog()
	if err != nil {
		t.Fatal(err)
	}
	service := catalog.Services[0]
	plan, id, binding := service.Plans[0], osbclient.NewID(), osbclient.NewID()
	provisioned, err := client.ProvisionInstance(&osb.ProvisionRequest{
		InstanceID: id, ServiceID: service.ID, PlanID: plan.ID, AcceptsIncomplete: true, OrganizationGUID: "org", SpaceGUID: "space",
		Context: map[string]any{"platform": "kubernetes", "namespace": "default", "clusterid": "c1"},
	})
	if err != nil || !provisioned.Async {
		t.Fatalf("provision: %+v, %v", provisioned, err)
	}
	poll := func(operation *osb.OperationKey, deleting bool) {
		t.Helper()
		stacktest.Eventually(t, operationLimit, "the operation ends", func() error {
			last, err := client.PollLastOperation(&osb.LastOperationRequest{InstanceID: id, ServiceID: &service.ID, PlanID: &plan.ID, OperationKey: operation})
			if deleting && osb.IsGoneError(err) {
				return nil
			}
			if err != nil {
				return err
			}
			if last.State == osb.StateFailed {
				t.Fatalf("the operation failed: %s", *last.Description)
			}
			if last.State != osb.StateSucceeded {
				return fmt.Errorf("%s: %s", last.State, *last.Description)
			}
			return nil
		})
	}
	poll(provisioned.OperationKey, false)
	bound, err := client.Bind(&osb.BindRequest{InstanceID: id, BindingID: binding, ServiceID: service.ID, PlanID: plan.ID})
	if err != nil {
		t.Fatal(err)
	}
	uri := fmt.Sprint(bound.Credentials["uri"])
	useSQL(t, s, uri, "CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)")
	if _, err := client.Unbind(&osb.UnbindRequest{InstanceID: id, BindingID: binding, ServiceID: service.ID, PlanID: plan.ID}); err != nil {
		t.Fatal(err)
	}
	refused(t, s, uri)
	deprovisioned, err := client.DeprovisionInstance(&osb.DeprovisionRequest{InstanceID: id, ServiceID: service.ID, PlanID: plan.ID, AcceptsIncomplete: true})
	if err != nil {
		t.Fatal(err)
	}
	poll(deprovisioned.OperationKey, true)
	s.Refresh()
	if len(s.Status.Deployments) > 0 {
		t.Errorf("deployments left: %v", s.Status.Deployments)
	}
}

func useSQL(t *testing.T, s *stacktest.Stack, uri string, statements ...string) {
	t.Helper()
	conn, err := s.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func queryOne(t *testing.T, s *stacktest.Stack, uri, query string) string {
	t.Helper()
	conn, err := s.Connect(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var value string
	if err := conn.QueryRow(t.Context(), query).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// refused wants the server itself to refuse the login.
func refused(t *testing.T, s *stacktest.Stack, uri string) {
	t.Helper()
	conn, err := s.Connect(t.Context(), uri)
	if err == nil {
		conn.Close(context.WithoutCancel(t.Context()))
		t.Error("the removed credentials still log in")
		return
	}
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || !strings.HasPrefix(refusal.Code, "28") {
		t.Errorf("login with removed credentials: got %v, want the server's refusal", err)
	}
}

// healthy wants the broker to answer its catalog.
func healthy(t *testing.T, s *stacktest.Stack) {
	t.Helper()
	stacktest.Eventually(t, time.Minute, "the broker answers", func() error {
		client := s.Broker()
		client.HTTP = &http.Client{Timeout: 2 * time.Second}
		_, err := client.Catalog(t.Context())
		return err
	})
}
