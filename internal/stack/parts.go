package stack

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	"gopkg.in/yaml.v3"
)

// writeConfigs writes each part's configuration file: they are what an
// operator would write for one machine.
func (s *Stack) writeConfigs() error {
	for name, config := range map[string]map[string]any{
		"director": {
			"dir": s.folder.DirectorDir(), "listen": s.settings.DirectorAddress,
			"admin":                  map[string]any{"username": s.settings.DirectorUsername, "password": s.settings.DirectorPassword},
			"resurrection_delay":     s.config.ResurrectionDelay.String(),
			"compiled_package_cache": s.config.CompiledPackages,
		},
		"deployer": {
			"listen": s.settings.DeployerAddress, "token": s.settings.DeployerToken, "templates_dir": s.folder.templatesDir(),
			"director": map[string]any{
				"url": "https://" + s.settings.DirectorAddress, "ca_cert": s.folder.DirectorCA(),
				"username": s.settings.DirectorUsername, "password": s.settings.DirectorPassword,
			},
		},
		"resolver": s.resolverConfig(),
		"spi":      s.providerConfig(),
		"broker": {
			"listen": s.settings.BrokerAddress, "operations_listen": s.settings.OperationsAddress,
			"store": map[string]any{
				"path": s.folder.path("broker", "broker.db"),
				"keys": []any{map[string]any{"id": "local", "value": s.settings.SealKey}},
			},
			"broker":   map[string]any{"username": s.settings.BrokerUsername, "password": s.settings.BrokerPassword},
			"spis":     map[string]any{"postgresql": map[string]any{"url": "http://" + s.settings.SPIAddress, "token": s.settings.SPIToken}},
			"deployer": map[string]any{"url": "http://" + s.settings.DeployerAddress, "token": s.settings.DeployerToken},
		},
	} {
		content, err := yaml.Marshal(config)
		if err != nil {
			return fmt.Errorf("encode the %s's configuration: %w", name, err)
		}
		if err := writeFile(s.folder.configFile(name), content); err != nil {
			return err
		}
	}
	return nil
}

// writeTemplateDefaults makes deployments use exactly what this start was given:
// "latest" on the director may be another build. They also use all of its zones.
func (s *Stack) writeTemplateDefaults() error {
	defaults := map[string]any{}
	for attribute, archive := range map[string]struct{ path, manifest string }{
		"stemcell_version": {s.config.Stemcell, "stemcell.MF"}, "release_version": {s.config.Release, "release.MF"},
	} {
		if archive.path == "" {
			continue
		}
		identity, err := readIdentity(archive.path, archive.manifest)
		if err != nil {
			return err
		}
		defaults[attribute] = identity.Version
	}
	if len(defaults) == 0 { // as the last start left it
		return os.MkdirAll(s.folder.templatesDir(), 0o700)
	}
	defaults["max_in_flight"] = 2 // the cloud config has a zone for each node
	content, err := yaml.Marshal(defaults)
	if err != nil {
		return fmt.Errorf("encode the templates' defaults: %w", err)
	}
	return writeFile(s.folder.templatesDir()+"/defaults.yml", content)
}

func (s *Stack) providerConfig() map[string]any {
	config := map[string]any{"listen": s.settings.SPIAddress, "token": s.settings.SPIToken}
	if c := s.settings.Consul; len(c.Addresses) > 0 {
		config["postgresql"] = map[string]any{"domain": domain, "consul": map[string]any{
			"addresses": c.Addresses, "server_name": consulServerName, "ca_cert": c.CA.Certificate, "token": c.ProviderToken,
		}}
	}
	return config
}

func (s *Stack) directorPart() part {
	return part{name: "director", args: []string{"director", "--config", s.folder.configFile("director")}, addresses: []string{s.settings.DirectorAddress}, ready: func(ctx context.Context) error {
		d, err := openDirector(s.folder, s.settings)
		if err != nil {
			return err
		}
		return d.ready(ctx)
	}}
}

func (s *Stack) deployerPart() part {
	return part{name: "deployer", args: []string{"deployer", "--config", s.folder.configFile("deployer")}, ready: listens(s.settings.DeployerAddress), addresses: []string{s.settings.DeployerAddress}}
}

func (s *Stack) spiPart() part {
	return part{name: "spi", args: []string{"spi", "postgresql", "--config", s.folder.configFile("spi")}, ready: listens(s.settings.SPIAddress), addresses: []string{s.settings.SPIAddress}}
}

func (s *Stack) brokerPart() part {
	return part{name: "broker", args: []string{"broker", "--config", s.folder.configFile("broker")}, ready: answers("http://" + s.settings.OperationsAddress + "/healthz"), addresses: []string{s.settings.BrokerAddress, s.settings.OperationsAddress}}
}

func listens(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, res.Status)
		}
		return nil
	}
}
