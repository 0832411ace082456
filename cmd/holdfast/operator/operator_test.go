package operator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-osb/holdfast/cmd/holdfast/operator"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/status"
	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/authority"
)

const token = "keeper-token"

// lab is a deployment of three keepers of the test's own.
type lab struct {
	ca   authority.Pair
	port int

	mu       sync.Mutex
	primary  decide.Node
	requests []decide.Request
	refuses  string
}

// keeper is one node's.
type keeper struct {
	lab  *lab
	node decide.Node
}

func (k keeper) Report() status.Report {
	k.lab.mu.Lock()
	defer k.lab.mu.Unlock()
	r := status.Report{Deployment: "postgresql-i1", Primary: k.lab.primary, Members: []decide.Node{"node-0", "node-1", "node-2"}}
	r.Node, r.Role, r.Known, r.Streaming = k.node, decide.StandbyRole, true, true
	r.Position = decide.Position{Timeline: 2, LSN: 100}
	if k.node == "node-2" {
		r.Position.LSN = 200
	}
	if k.node == k.lab.primary {
		r.Role, r.Writable, r.Streaming = decide.Primary, true, false
	}
	return r
}

func (k keeper) Ask(_ context.Context, r decide.Request) (status.Answer, error) {
	k.lab.mu.Lock()
	defer k.lab.mu.Unlock()
	if k.lab.refuses != "" {
		return status.Answer{Why: k.lab.refuses}, nil
	}
	k.lab.requests = append(k.lab.requests, r)
	switch r.Ask {
	case decide.AskSwitchover:
		k.lab.primary = r.Target
		if r.Target == "" {
			k.lab.primary = "node-1"
		}
	case decide.AskFailover:
		k.lab.primary = k.node
	}
	return status.Answer{Granted: true}, nil
}

// start serves the keepers of these nodes, node-N at 127.0.0.N+1; the others are
// dead.
func start(t *testing.T, alive ...int) *lab {
	t.Helper()
	ca, err := authority.New("test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Issue("postgresql-i1", []string{"node-0.postgresql-i1"}, x509.ExtKeyUsageServerAuth)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair([]byte(pair.Certificate), []byte(pair.Key))
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{ca: ca.Pair, primary: "node-0"}
	for _, n := range alive {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:%d", n+1, l.port))
		if err != nil {
			t.Fatal(err)
		}
		l.port = listener.Addr().(*net.TCPAddr).Port
		server := &httptest.Server{Listener: listener, TLS: &tls.Config{Certificates: []tls.Certificate{certificate}},
			Config: &http.Server{Handler: status.Handler(keeper{l, decide.Node(fmt.Sprintf("node-%d", n))}, token)}}
		server.StartTLS()
		t.Cleanup(server.Close)
	}
	return l
}

// The lab as a director shows it.

func (l *lab) Deployments(context.Context) ([]deployer.Deployment, error) {
	return []deployer.Deployment{{Name: "consul"}, {Name: "postgresql-i1"}}, nil
}

func (l *lab) Deployment(context.Context, string) (deployer.Deployment, error) {
	d := deployer.Deployment{Name: "postgresql-i1"}
	for n := range 3 {
		d.Instances = append(d.Instances, deployer.Instance{Group: "postgresql", Index: n, Address: fmt.Sprintf("127.0.0.%d", n+1)})
	}
	return d, nil
}

func (l *lab) Manifest(_ context.Context, name string) (string, error) {
	if name == "consul" {
		return "instance_groups: [{name: consul, jobs: [{name: consul-server}]}]", nil
	}
	return fmt.Sprintf("instance_groups: [{name: postgresql, jobs: [{name: postgresql, properties: {tls: {ca: %q}, keeper: {token: %s, status_port: %d}}}]}]", l.ca.Certificate, token, l.port), nil
}

// set changes or reads the lab while keepers answer.
func (l *lab) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func find(t *testing.T, l *lab) *operator.Cluster {
	t.Helper()
	c, err := operator.Find(t.Context(), l, "i1")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFind(t *testing.T) {
	l := start(t, 0)
	for instance, want := range map[string]string{"i1": "", "postgresql-i1": "", "1": "no deployment", "i2": "no deployment", "consul": "no PostgreSQL"} {
		_, err := operator.Find(t.Context(), l, instance)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", instance, err, want)
		}
	}
}

func TestStatus(t *testing.T) {
	nodes := find(t, start(t, 0, 1, 2)).Status(t.Context())
	if len(nodes) != 3 || operator.Problem(nodes) != "" || operator.Primary(nodes).Node != "node-0" {
		t.Errorf("got %+v, %s", nodes, operator.Problem(nodes))
	}
	nodes = find(t, start(t, 0, 1)).Status(t.Context())
	if problem := operator.Problem(nodes); !strings.HasPrefix(problem, "node-2 does not answer") || nodes[2].Report != nil {
		t.Errorf("with a dead node: got %+v, %q", nodes, problem)
	}
	nodes = find(t, start(t, 1, 2)).Status(t.Context())
	if problem := operator.Problem(nodes); problem != "no node accepts writes" {
		t.Errorf("without a primary: got %q", problem)
	}
}

func TestSwitchover(t *testing.T) {
	l := start(t, 0, 1, 2)
	c := find(t, l)
	for target, want := range map[string]decide.Node{"node-2": "node-2", "": "node-1"} {
		l.set(func() { l.primary = "node-0" })
		if primary, err := c.Switchover(t.Context(), target); err != nil || primary.Node != want {
			t.Errorf("to %q: got %v, %v", target, primary.Node, err)
		}
	}
	var asked int
	l.set(func() { l.primary, asked = "node-1", len(l.requests) })
	primary, err := c.Switchover(t.Context(), "node-1")
	l.set(func() { asked -= len(l.requests) })
	if err != nil || primary.Node != "node-1" || asked != 0 {
		t.Errorf("to the primary itself: got %v, %v, %d requests", primary.Node, err, -asked)
	}
	if _, err := c.Switchover(t.Context(), "node-7"); err == nil || !strings.Contains(err.Error(), "node-0, node-1, node-2") {
		t.Errorf("to nobody: got %v", err)
	}
	const refusal = "no standby has caught up"
	l.set(func() { l.refuses = refusal })
	if _, err := c.Switchover(t.Context(), ""); err == nil || !strings.Contains(err.Error(), refusal) {
		t.Errorf("a refusal: got %v", err)
	}
}

func TestFailover(t *testing.T) {
	l := start(t, 1, 2) // the primary is dead
	c := find(t, l)
	if _, err := c.Switchover(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "no node accepts writes") {
		t.Errorf("a switchover without a primary: got %v", err)
	}
	primary, err := c.Failover(t.Context(), "", true)
	if err != nil || primary.Node != "node-2" {
		t.Errorf("to the one that has most: got %v, %v", primary.Node, err)
	}
	var last decide.Request
	l.set(func() { last = l.requests[len(l.requests)-1] })
	if last.Ask != decide.AskFailover || !last.Force {
		t.Errorf("got %+v", last)
	}
	if primary, err := c.Failover(t.Context(), "node-1", false); err != nil || primary.Node != "node-1" {
		t.Errorf("to one by name: got %v, %v", primary.Node, err)
	}
}
