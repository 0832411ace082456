package main

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command says what it does, and its help works.
func TestCommandTree(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if !cmd.Hidden && cmd.Short == "" {
			t.Errorf("%s has no short description", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	root := newRootCommand()
	visit(root)
	for _, cmd := range root.Commands() {
		if cmd.Name() != "help" && cmd.GroupID == "" {
			t.Errorf("%s is in no group of the help", cmd.Name())
		}
		if out := must(t, cmd.Name(), "--help"); !strings.Contains(out, "Usage:") {
			t.Errorf("%s --help prints\n%s", cmd.Name(), out)
		}
	}
}

// The broker's password must not be a flag: flags show in process lists.
func TestNoSecretIsAFlag(t *testing.T) {
	for _, cmd := range newRootCommand().Commands() {
		for _, name := range []string{"password", "token", "secret", "key"} {
			if cmd.Flags().Lookup(name) != nil {
				t.Errorf("%s has a flag --%s", cmd.Name(), name)
			}
		}
	}
}

func TestCheckConfig(t *testing.T) {
	good := map[string]string{
		"broker": `
store: {path: /var/lib/holdfast/broker.db, keys: [{id: k1, value: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=}]}
broker: {username: holdfast, password: hunter22}
spis: {postgresql: {url: "http://127.0.0.1:25581", token: t1}}
deployer: {url: "http://127.0.0.1:25580", token: t2}
`,
		"spi postgresql": "token: t1\npostgresql: {consul: {addresses: [10.0.16.4], ca_cert: CERTIFICATE, token: t3}}\n",
		"deployer":       "token: t2\ndirector: {url: \"https://bosh.example:25555\", ca_cert: /etc/holdfast/bosh.pem, client: holdfast, client_secret: s}\n",
		"director":       "dir: /var/lib/holdfast/director\nadmin: {username: admin, password: hunter22}\n",
	}
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	ca := filepath.Join(t.TempDir(), "bosh.pem")
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	for part, config := range good {
		t.Run(part, func(t *testing.T) {
			config := strings.NewReplacer("/etc/holdfast/bosh.pem", ca, "CERTIFICATE", strconv.Quote(string(certificate))).Replace(config)
			if status, out, stderr := checkConfig(t, part, config); status != 0 || !strings.Contains(out, "is right") {
				t.Errorf("a right configuration: status %d\n%s%s", status, out, stderr)
			}
			for name, broken := range map[string]string{
				"unknown key": config + "colour: blue\n", "two documents": config + "---\n{}\n", "no YAML": "{", "a list": "[]\n",
				"listen": strings.ReplaceAll(config, "listen: 127.0.0.1:25555\n", "") + "listen: nowhere\n",
			} {
				if status, _, stderr := checkConfig(t, part, broken); status != 1 || !strings.Contains(stderr, "part.yml") {
					t.Errorf("%s: status %d, stderr %q; want 1 and the file's name", name, status, stderr)
				}
			}
			if status, _, stderr := checkConfig(t, part, ""); status != 1 || strings.Contains(stderr, "hunter22") {
				t.Errorf("an empty configuration: status %d, stderr %q", status, stderr)
			}
		})
	}
}

func TestCheckConfigNamesEveryFault(t *testing.T) {
	_, _, stderr := checkConfig(t, "broker", "listen: nowhere\nstore: {keys: [{id: k1, value: short}]}\nspis: {kettle: {}}\n")
	for _, key := range []string{"listen:", "store.path:", "spis.kettle.url:", "spis.kettle.token:", "deployer.url:", "deployer.token:", "broker.password:", "store.keys[0].value:"} {
		if !strings.Contains(stderr, key) {
			t.Errorf("no word of %s in\n%s", key, stderr)
		}
	}
}

func checkConfig(t *testing.T, part, content string) (status int, stdout, stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "part.yml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return holdfast(append(strings.Fields(part), "--check-config", "--config", path)...)
}

func TestPartsWantAConfiguration(t *testing.T) {
	for _, part := range []string{"broker", "spi postgresql", "deployer", "director"} {
		fails(t, "--config FILE is required", strings.Fields(part)...)
	}
}

func TestStackThatIsNotThere(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "none")
	fails(t, "start one with `holdfast up`", "status", "--state", empty)
	if out := must(t, "down", "--state", empty); !strings.Contains(out, "nothing to remove") {
		t.Errorf("down without a stack prints\n%s", out)
	}
	other := t.TempDir()
	fails(t, "is not the folder of a stack", "down", "--state", other)
	if _, err := os.Stat(other); err != nil {
		t.Errorf("down removed a folder that is no stack's: %v", err)
	}
}

func TestDetachedStartShowsWhatHappens(t *testing.T) {
	for name, c := range map[string]struct {
		log, shown, failure string
	}{
		"ready":  {"starting\n{\"level\":\"WARN\"}\n" + readyLine + "\nlater\n", "starting\n" + readyLine + "\n", ""},
		"failed": {"starting\nholdfast: the broker does not start\n", "starting\n", "the broker does not start"},
		"died":   {"starting\n", "starting\n", "ended without a word: exit status 2"},
	} {
		ended := make(chan error, 1)
		ended <- errors.New("exit status 2")
		var shown strings.Builder
		err := showUntilReady(t.Context(), &shown, strings.NewReader(c.log), ended)
		if shown.String() != c.shown {
			t.Errorf("%s: showed %q, want %q", name, shown.String(), c.shown)
		}
		if (err == nil) != (c.failure == "") || err != nil && !strings.Contains(err.Error(), c.failure) {
			t.Errorf("%s: got %v, want %q", name, err, c.failure)
		}
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := showUntilReady(stopped, new(strings.Builder), strings.NewReader(""), make(chan error)); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: got %v", err)
	}
}
