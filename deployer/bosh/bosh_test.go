package bosh_test

import (
	"log/slog"
	"net/http/httptest"
	"testing"
	"testing/fstest"
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/deployer/bosh"
	"github.com/holdfast-osb/holdfast/deployer/bosh/directortest"
	"github.com/holdfast-osb/holdfast/deployer/deployertest"
	"github.com/holdfast-osb/holdfast/deployer/template"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// sampleTemplate deploys the dummy release, on a fake and on real directors.
var sampleTemplate = fstest.MapFS{
	"sample/template.yml": {Data: []byte(`
description: A template for tests
attributes:
- {name: size, type: string, description: The VM's type}
- {name: count, type: integer, description: How many, default: 1}
- {name: stemcell_os, type: string, description: The stemcell's, default: any}
- {name: key, type: string, description: A key, secret: true}
`)},
	"sample/manifest.yml": {Data: []byte(`
name: ((deployment_name))
releases: [{name: dummy, version: latest}]
stemcells: [{alias: default, os: ((stemcell_os)), version: latest}]
update: {canaries: 1, max_in_flight: 1, canary_watch_time: 500-60000, update_watch_time: 500-60000}
instance_groups:
- name: web
  instances: ((count))
  azs: [z1]
  vm_type: ((size))
  stemcell: default
  networks: [{name: default}]
  jobs: [{name: web, release: dummy, properties: {password: ((key))}}]
`)},
}

func sampleRequest() deployer.DeployRequest {
	return deployer.DeployRequest{Template: "sample", Attributes: map[string]any{"size": "default"},
		SecretAttributes: secret.Values{"key": secret.New("hunter2-very-secret")}}
}

func newService(t *testing.T, fake *directortest.Fake, change func(*bosh.Config)) *bosh.Service {
	t.Helper()
	library, err := template.Open(slog.New(slog.DiscardHandler), sampleTemplate)
	if err != nil {
		t.Fatal(err)
	}
	cfg := bosh.Defaults()
	cfg.URL, cfg.CACert, cfg.Username, cfg.Password = fake.URL, fake.CACert, fake.Username, secret.New(fake.Password)
	cfg.SettleTime = 0
	if change != nil {
		change(&cfg)
	}
	service, err := bosh.New(cfg, library, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(service.Close)
	return service
}

func overHTTP(t *testing.T, service deployer.Service) deployer.Service {
	t.Helper()
	token := secret.New("test-token")
	server := httptest.NewServer(deployer.NewHandler(service, token, slog.New(slog.NewTextHandler(t.Output(), nil))))
	t.Cleanup(server.Close)
	client, err := deployer.NewClient(server.URL, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestConformance(t *testing.T) {
	for name, wrap := range map[string]func(*testing.T, deployer.Service) deployer.Service{
		"direct": func(_ *testing.T, s deployer.Service) deployer.Service { return s },
		"http":   overHTTP,
	} {
		t.Run(name, func(t *testing.T) {
			deployertest.Run(t, func(t *testing.T) deployertest.Fixture {
				fake := directortest.Start(t, directortest.Options{Step: 5 * time.Millisecond})
				return deployertest.Fixture{Service: wrap(t, newService(t, fake, nil)), Request: sampleRequest,
					Limit: 10 * time.Second, Poll: 2 * time.Millisecond}
			})
		})
	}
}
