package boshrelease_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/render"
)

// renderJob renders the job postgresql as the director would. What properties
// leave out takes the default of the job's spec.
func renderJob(t *testing.T, rel *storedRelease, properties map[string]any) (map[string]string, error) {
	t.Helper()
	return renderAs(t, rel, "postgresql", render.Job{Spec: map[string]any{"deployment": "d-1"}, Properties: properties})
}

// renderAs renders the job of that name with what a director knows.
func renderAs(t *testing.T, rel *storedRelease, name string, as render.Job) (map[string]string, error) {
	t.Helper()
	job, ok := rel.Release.Job(name)
	if !ok {
		t.Fatalf("the release has no job %s", name)
	}
	source, err := rel.JobSource(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	as.Source = source
	rendered, err := render.New(render.Options{}).Render(t.Context(), render.Request{Instances: []render.Instance{{Group: name, Jobs: []render.Job{as}}}})
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, file := range rendered[0].Jobs[0].Files {
		files[file.Path] = string(file.Content)
	}
	return files, nil
}

// required are properties of no meaning, for what has no default.
func required() map[string]any {
	return map[string]any{
		"tls":   map[string]any{"ca": "server-ca", "certificate": "server-cert", "private_key": "server-key"},
		"admin": map[string]any{"ca": "admin-ca"},
	}
}

func TestRenderedDefaults(t *testing.T) {
	rel := theRelease(t)
	files, err := renderJob(t, rel, required())
	if err != nil {
		t.Fatal(err)
	}
	for path, wants := range map[string][]string{
		"monit": {"with timeout 80 seconds\n", "if size > 10 MB then"},
		"config/settings.env": {"PORT=5432\n", "ADMIN_ROLE=holdfast\n", "MEMORY_MB=0\n", "MAX_CONNECTIONS=0\n",
			"START_TIMEOUT=300\n", "STOP_TIMEOUT=60\n"},
		"config/postgresql.conf": {"port = '5432'\n", "ssl = 'on'\n", "fsync = 'on'\n", "idle_in_transaction_session_timeout = '3600s'\n"},
		"config/pg_hba.conf":     {"hostssl  all       \"holdfast\"  samenet  cert map=admin\n", "hostssl  all       all                all         scram-sha-256\n"},
		"config/pg_ident.conf":   {`admin    "holdfast"    "holdfast"`},
		"config/tls/server.crt":  {"server-cert\nserver-ca\n"},
		"config/tls/server.key":  {"server-key\n"},
	} {
		for _, want := range wants {
			if !strings.Contains(files[path], want) {
				t.Errorf("%s: want %q in\n%s", path, want, files[path])
			}
		}
	}
}

// No line of pg_hba.conf admits a connection without TLS, without a proof of
// identity, or the bootstrap superuser from the network, whatever the properties.
func TestNoRuleOfAccessIsLax(t *testing.T) {
	rel := theRelease(t)
	properties := required()
	properties["client_networks"] = []any{"10.1.0.0/16", "10.2.0.0/16"}
	properties["admin"].(map[string]any)["networks"] = []any{"10.3.0.0/16"}
	files, err := renderJob(t, rel, properties)
	if err != nil {
		t.Fatal(err)
	}
	var rules [][]string
	for line := range strings.Lines(files["config/pg_hba.conf"]) {
		if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(fields[0], "#") {
			rules = append(rules, fields)
		}
	}
	superuserSeen := false
	for _, rule := range rules {
		method := rule[len(rule)-1]
		if strings.HasPrefix(method, "map=") {
			method = rule[len(rule)-2]
		}
		switch {
		case rule[0] == "local" && (method == "peer" || method == "reject"):
		case rule[0] == "hostssl" && (method == "cert" || method == "scram-sha-256" || method == "reject"):
		default:
			t.Errorf("lax rule: %q", rule)
		}
		if rule[0] == "hostssl" && rule[2] == "postgres" && method == "reject" && rule[3] == "all" {
			superuserSeen = true
		}
		if rule[0] == "hostssl" && rule[2] == "all" && !superuserSeen {
			t.Errorf("rule for all before the bootstrap superuser is refused: %q", rule)
		}
	}
	if len(rules) != 9 {
		t.Errorf("got %d rules, want 9: %q", len(rules), rules)
	}
}

func TestMissingPropertiesAreNamed(t *testing.T) {
	rel := theRelease(t)
	for _, missing := range []string{"tls", "admin"} {
		properties := maps.Clone(required())
		delete(properties, missing)
		_, err := renderJob(t, rel, properties)
		if err == nil || !strings.Contains(err.Error(), `Can't find property '["`+missing) {
			t.Errorf("without %s: got error %v", missing, err)
		}
	}
}

func TestTheRetransmissionsBoundIsChecked(t *testing.T) {
	rel := theRelease(t)
	for value, allowed := range map[any]bool{0: true, 5: true, 200: true, 4: false, 201: false, -1: false, "50": false, 50.5: false} {
		properties := required()
		properties["tcp"] = map[string]any{"retransmit_min_ms": value}
		files, err := renderJob(t, rel, properties)
		if allowed && (err != nil || !strings.Contains(files["config/settings.env"], fmt.Sprintf("RETRANSMIT_MS=%v\n", value))) {
			t.Errorf("%v: got error %v and\n%s", value, err, files["config/settings.env"])
		}
		if want := "allowed are 5 to 200, and 0"; !allowed && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%v: got error %v, want %q", value, err, want)
		}
	}
}

// Values are data: they end up quoted in a file that the shell reads.
func TestValuesAreQuotedForTheShell(t *testing.T) {
	rel := theRelease(t)
	properties := required()
	properties["admin"].(map[string]any)["role"] = `a b; $(touch /tmp/x) '`
	files, err := renderJob(t, rel, properties)
	if err != nil {
		t.Fatal(err)
	}
	if want := `ADMIN_ROLE=a\ b\;\ \$\(touch\ /tmp/x\)\ \'` + "\n"; !strings.Contains(files["config/settings.env"], want) {
		t.Errorf("want %q in\n%s", want, files["config/settings.env"])
	}
}
