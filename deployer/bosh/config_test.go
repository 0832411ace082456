package bosh_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/bosh"
	"github.com/holdfast-osb/holdfast/deployer/bosh/directortest"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

func TestConfigTellsEveryFault(t *testing.T) {
	good := bosh.Defaults()
	good.URL, good.Username, good.Password = "https://10.0.0.6:25555", "admin", secret.New("x")
	if err := good.Validate(); err != nil {
		t.Errorf("a good configuration: %v", err)
	}
	for name, c := range map[string]struct {
		change func(*bosh.Config)
		want   string
	}{
		"plain http":           {func(c *bosh.Config) { c.URL = "http://10.0.0.6:25555" }, "url: must be https"},
		"no URL":               {func(c *bosh.Config) { c.URL = "" }, "url: must be https"},
		"URL with credentials": {func(c *bosh.Config) { c.URL = "https://a:b@10.0.0.6" }, "url: must be https"},
		"no such CA file":      {func(c *bosh.Config) { c.CACert = "/nonexistent.pem" }, "ca_cert: read"},
		"CA without PEM":       {func(c *bosh.Config) { c.CACert = "-----BEGIN CERTIFICATE-----\nx" }, "ca_cert: holds no PEM"},
		"no credentials":       {func(c *bosh.Config) { c.Username, c.Password = "", secret.Secret{} }, "username: give either"},
		"both credentials":     {func(c *bosh.Config) { c.Client, c.ClientSecret = "c", secret.New("x") }, "username: give either"},
		"no password":          {func(c *bosh.Config) { c.Password = secret.Secret{} }, "password: username and password go together"},
		"owner":                {func(c *bosh.Config) { c.Owner = "a b" }, "owner: must match"},
		"request time-out":     {func(c *bosh.Config) { c.RequestTimeout = time.Millisecond }, "request_timeout: must be from 1s to 1m, got 1ms"},
		"settle time":          {func(c *bosh.Config) { c.SettleTime = -1 }, "settle_time: must be from 0s"},
		"connections":          {func(c *bosh.Config) { c.MaxConnections = 0 }, "max_connections: must be at least 1"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	faults := bosh.Config{}.Validate()
	if faults == nil || len(strings.Split(faults.Error(), "\n")) < 5 {
		t.Errorf("an empty configuration: got %v", faults)
	}
}

func TestCACertMayBeAFile(t *testing.T) {
	fake := directortest.Start(t, directortest.Options{})
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte(fake.CACert), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newService(t, fake, func(c *bosh.Config) { c.CACert = file })
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
