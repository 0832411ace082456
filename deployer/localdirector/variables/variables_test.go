package variables_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/variables"
)

// memory is a store of variables; names in broken cannot be read.
type memory struct {
	values map[string][]variables.Stored
	broken map[string]bool
}

func newMemory() *memory {
	return &memory{values: map[string][]variables.Stored{}, broken: map[string]bool{}}
}

func (m *memory) GetVariable(_ context.Context, name string) (variables.Stored, bool, error) {
	if m.broken[name] {
		return variables.Stored{}, false, errors.New("disk on fire")
	}
	all := m.values[name]
	if len(all) == 0 {
		return variables.Stored{}, false, nil
	}
	return all[len(all)-1], true, nil
}

func (m *memory) PutVariable(_ context.Context, v variables.Stored) (variables.Stored, error) {
	v.ID = fmt.Sprintf("%s#%d", v.Name, len(m.values[v.Name])+1)
	m.values[v.Name] = append(m.values[v.Name], v)
	return v, nil
}

func (m *memory) put(name, value string) {
	m.values[name] = append(m.values[name], variables.Stored{ID: "1", Name: name, Type: "password", Value: []byte(value)})
}

var scope = variables.Scope{Director: "bosh", Deployment: "demo"}

func definitions(t *testing.T, text string) []manifest.Variable {
	t.Helper()
	d, err := manifest.Read([]byte("name: demo\nvariables:\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	vars, err := d.Variables()
	if err != nil {
		t.Fatal(err)
	}
	return vars
}

func ensure(t *testing.T, store variables.Store, text string) []variables.Stored {
	t.Helper()
	got, err := variables.Ensure(t.Context(), store, scope, definitions(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func wantFault(t *testing.T, err error, code int, text string) {
	t.Helper()
	var fault *manifest.Error
	if !errors.As(err, &fault) || fault.Code != code || fault.Message != text {
		t.Errorf("got  %v\nwant %d %s", err, code, text)
	}
}

func decode[T any](t *testing.T, s variables.Stored) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(s.Value, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestGenerates(t *testing.T) {
	got := ensure(t, newMemory(), `
- {name: pw, type: password}
- {name: /shared/long, type: password, options: {length: 40}}
- {name: key, type: rsa}
- {name: login, type: ssh}
`)
	if got[0].Name != "/bosh/demo/pw" || len(decode[string](t, got[0])) != 20 {
		t.Errorf("got %v", got[0])
	}
	if got[1].Name != "/shared/long" || len(decode[string](t, got[1])) != 40 {
		t.Errorf("got %v", got[1])
	}
	if rsa := decode[map[string]string](t, got[2]); !strings.Contains(rsa["private_key"], "RSA PRIVATE KEY") || !strings.Contains(rsa["public_key"], "PUBLIC KEY") {
		t.Error("rsa is no key pair")
	}
	if ssh := decode[map[string]string](t, got[3]); !strings.HasPrefix(ssh["public_key"], "ssh-rsa ") || ssh["public_key_fingerprint"] == "" {
		t.Error("ssh is no key pair")
	}
}

const certificates = `
- {name: ca, type: certificate, options: {is_ca: true, common_name: demo-ca, duration: 10}}
- {name: server, type: certificate, options: {ca: ca, common_name: db.demo, alternative_names: [db.demo, 10.1.2.3, "((host))"], duration: 5}}
- {name: client, type: certificate, options: {ca: /bosh/demo/ca, common_name: admin, extended_key_usage: [client_auth]}}
`

type pair struct{ Certificate, Private_Key, CA string }

func TestCertificates(t *testing.T) {
	store := newMemory()
	store.put("/bosh/demo/host", `"alias.example"`)
	got := ensure(t, store, certificates)
	ca, server, client := decode[pair](t, got[0]), decode[pair](t, got[1]), decode[pair](t, got[2])
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(server.CA)) || server.CA != ca.Certificate {
		t.Fatal("the server's ca is not the CA")
	}
	cert := parse(t, server.Certificate)
	for _, name := range []string{"db.demo", "10.1.2.3", "alias.example"} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("server: %v", err)
		}
	}
	if days := time.Until(cert.NotAfter).Hours() / 24; days < 4.9 || days > 5.1 {
		t.Errorf("server lasts %.1f days, want 5", days)
	}
	if _, err := parse(t, client.Certificate).Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("client: %v", err)
	}
	if _, err := tls.X509KeyPair([]byte(server.Certificate), []byte(server.Private_Key)); err != nil {
		t.Errorf("server: %v", err)
	}
}

func parse(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("no PEM")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestKeepsAndRenews(t *testing.T) {
	const (
		pw      = "- {name: pw, type: password, options: {length: 10}}\n"
		longer  = "- {name: pw, type: password, options: {length: 11}}\n"
		mode    = "- {name: pw, type: password, options: {length: 11}, update_mode: converge}\n"
		again   = "- {name: pw, type: password, options: {length: 11}, update_mode: overwrite}\n"
		becomes = "- {name: pw, type: rsa, update_mode: converge}\n"
	)
	cases := []struct {
		name, before, after string
		renewed             bool
	}{
		{"the same", pw, pw, false},
		{"other options without a mode", pw, longer, false},
		{"other options, converge", pw, mode, true},
		{"same options, converge", longer, mode, false},
		{"overwrite", longer, again, true},
		{"another type, converge", pw, becomes, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			store := newMemory()
			first, second := ensure(t, store, c.before)[0], ensure(t, store, c.after)[0]
			if renewed := string(first.Value) != string(second.Value); renewed != c.renewed || renewed != (first.ID != second.ID) {
				t.Errorf("renewed: %v, want %v", renewed, c.renewed)
			}
		})
	}
	t.Run("a certificate follows its CA", func(t *testing.T) {
		store := newMemory()
		text := "- {name: ca, type: certificate, update_mode: converge, options: {is_ca: true, common_name: one}}\n" +
			"- {name: leaf, type: certificate, update_mode: converge, options: {ca: ca, common_name: leaf}}\n"
		ensure(t, store, text)
		got := ensure(t, store, strings.Replace(text, "one", "two", 1))
		if decode[pair](t, got[1]).CA != decode[pair](t, got[0]).Certificate {
			t.Error("the leaf is still signed by the old CA")
		}
	})
}

func TestGenerationFaults(t *testing.T) {
	const failed = "Config Server failed to generate value for '/bosh/demo/v' with type '%s'. Error: '%s'"
	cases := map[string]struct {
		text string
		code int
		want string
	}{
		"type":            {"- {name: v, type: user}", 540005, fmt.Sprintf(failed, "user", "Unsupported value type: user")},
		"name":            {"- {name: v.w, type: password}", 540004, "Variable name 'v.w' must only contain alphanumeric, underscores, dashes, or forward slash characters"},
		"name ends":       {"- {name: v/, type: password}", 540004, "Variable name 'v/' must not end with a forward slash"},
		"name doubled":    {"- {name: v//w, type: password}", 540004, "Variable name 'v//w' must not contain two consecutive forward slashes"},
		"option":          {"- {name: v, type: password, options: {size: 1}}", 540005, fmt.Sprintf(failed, "password", "Failed to generate password, parameters are invalid: Unsupported parameter 'size'")},
		"negative length": {"- {name: v, type: password, options: {length: -1}}", 540005, fmt.Sprintf(failed, "password", "Failed to generate password, 'length' param cannot be negative")},
		"absurd length":   {"- {name: v, type: password, options: {length: 1000000000}}", 540005, fmt.Sprintf(failed, "password", "'length' param cannot be greater than 4096")},
		"no ca":           {"- {name: v, type: certificate, options: {common_name: a}}", 540005, fmt.Sprintf(failed, "certificate", "Missing required CA name")},
		"ca comes later":  {"- {name: v, type: certificate, options: {ca: c, common_name: a}}", 540005, fmt.Sprintf(failed, "certificate", "Loading certificates: CA '/bosh/demo/c' has no value; define it before the certificates it signs")},
		"ca is a word":    {"- {name: p, type: password}\n- {name: v, type: certificate, options: {ca: p, common_name: a}}", 540005, fmt.Sprintf(failed, "certificate", "Loading certificates: CA '/bosh/demo/p' is no certificate")},
		"missing in options": {"- {name: v, type: password, options: {length: ((n))}}", 540001,
			"- Failed to find variable '/bosh/demo/n' from config server: HTTP Code '404', Error: 'Name '/bosh/demo/n' not found'"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := variables.Ensure(t.Context(), newMemory(), scope, definitions(t, c.text))
			wantFault(t, err, c.code, c.want)
		})
	}
	t.Run("another type", func(t *testing.T) {
		store := newMemory()
		ensure(t, store, "- {name: v, type: password}")
		_, err := variables.Ensure(t.Context(), store, scope, definitions(t, "- {name: v, type: rsa}"))
		wantFault(t, err, 540005, fmt.Sprintf(failed, "rsa", "The credential type cannot be modified. Please delete the credential if you wish to create it with a different type."))
	})
	t.Run("store", func(t *testing.T) {
		store := newMemory()
		store.broken["/bosh/demo/v"] = true
		if _, err := variables.Ensure(t.Context(), store, scope, definitions(t, "- {name: v, type: password}")); err == nil || !strings.Contains(err.Error(), "disk on fire") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := variables.Ensure(ctx, newMemory(), scope, definitions(t, "- {name: v, type: password}")); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestValuesStayOutOfLogs(t *testing.T) {
	s := variables.Stored{Name: "/a", Value: []byte("hunter2")}
	nested := struct{ V variables.Stored }{s}
	for _, format := range []string{"%v", "%+v", "%s", "%#v"} {
		for _, v := range []any{s, &s, nested, []variables.Stored{s}} {
			if text := fmt.Sprintf(format, v); strings.Contains(text, "hunter2") || strings.Contains(text, "104 117") || strings.Contains(text, "0x68, 0x75") {
				t.Errorf("%s of %T shows the value", format, v)
			}
		}
	}
}

func TestAbsoluteNames(t *testing.T) {
	for name, want := range map[string]string{"a": "/bosh/demo/a", "a/b": "/bosh/demo/a/b", "/a": "/a"} {
		if got := scope.Absolute(name); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
