package stack

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/google/uuid"
	consulapi "github.com/hashicorp/consul/api"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/authority"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// Consul is a deployment of its own, made through the deployer as any other.
const (
	consulDeployment = "consul"
	consulHTTPSPort  = "8501"
	consulDNSPort    = "53"
	// consulServerName is in the servers' certificate: they are verified by it
	// whatever their addresses.
	consulServerName = "server.dc1." + domain
	// domain is the release's, the template's and the provider's default.
	domain = "holdfast.internal"
	// componentTag marks deployments that are a part of Holdfast and no
	// instance of anybody.
	componentTag = "component"
)

// consulSettings are what Consul's servers were made with. Tokens are UUIDs.
type consulSettings struct {
	Servers         int            `json:"servers"` // 1 or 3
	CA              authority.Pair `json:"ca"`
	Certificate     authority.Pair `json:"certificate"`
	GossipKey       string         `json:"gossip_key"`
	ManagementToken string         `json:"management_token"`
	ServerToken     string         `json:"server_token"`
	ProviderToken   string         `json:"provider_token"`
	// Addresses of the servers, known after the first deployment.
	Addresses []string `json:"addresses,omitempty"`
}

func newConsulSettings() (consulSettings, error) {
	ca, err := authority.New("Holdfast Consul")
	if err != nil {
		return consulSettings{}, err
	}
	server, err := ca.Issue(consulServerName, []string{consulServerName, "localhost", "127.0.0.1"}, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return consulSettings{}, err
	}
	gossip := make([]byte, 32)
	rand.Read(gossip) // never fails, by its documentation
	return consulSettings{
		CA: ca.Pair, Certificate: server, GossipKey: base64.StdEncoding.EncodeToString(gossip),
		ManagementToken: uuid.NewString(), ServerToken: uuid.NewString(), ProviderToken: uuid.NewString(),
	}, nil
}

// consulLimit bounds the deployment of Consul, compilation included.
const consulLimit = 5 * time.Minute

// startConsul deploys Consul, or brings it up to date, and waits until it
// answers and the provider's token is there. It may be repeated.
func (s *Stack) startConsul(ctx context.Context) error {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, consulLimit)
	defer cancel()
	if err := s.deployConsul(ctx); err != nil {
		return fmt.Errorf("deploy Consul: %w", err)
	}
	client, err := s.settings.Consul.client(s.settings.Consul.Addresses[0], s.settings.Consul.ManagementToken)
	if err != nil {
		return err
	}
	if err := retry(ctx, func() error { return ensureProviderToken(ctx, client, s.settings.Consul.ProviderToken) }); err != nil {
		return fmt.Errorf("make the provider's token in Consul: %w", err)
	}
	s.config.Report("Consul answers on %v after %.1f s", s.settings.Consul.Addresses, time.Since(begin).Seconds())
	return nil
}

func (s *Stack) deployConsul(ctx context.Context) error {
	client, err := deployer.NewClient("http://"+s.settings.DeployerAddress, secret.New(s.settings.DeployerToken))
	if err != nil {
		return err
	}
	defer client.Close()
	c := &s.settings.Consul
	request := deployer.DeployRequest{
		Name: consulDeployment, OperationID: uuid.NewString(), Template: "consul",
		Attributes: map[string]any{
			"instances": c.Servers, "domain": domain, "consul_ca": c.CA.Certificate, "consul_certificate": c.Certificate.Certificate,
		},
		SecretAttributes: secret.Values{
			"consul_private_key": secret.New(c.Certificate.Key), "gossip_key": secret.New(c.GossipKey),
			"management_token": secret.New(c.ManagementToken), "server_token": secret.New(c.ServerToken),
		},
		Tags: map[string]string{componentTag: consulDeployment},
	}
	if err := s.followDeploy(ctx, client, request); err != nil {
		return err
	}
	deployment, err := client.Deployment(ctx, consulDeployment)
	if err != nil {
		return fmt.Errorf("ask for the servers' addresses: %w", err)
	}
	c.Addresses = nil
	for _, instance := range deployment.Instances {
		if instance.Address != "" {
			c.Addresses = append(c.Addresses, instance.Address)
		}
	}
	if len(c.Addresses) != c.Servers {
		return fmt.Errorf("%d servers have an address, want %d", len(c.Addresses), c.Servers)
	}
	return writeJSON(s.folder.settingsFile(), s.settings)
}

// followDeploy repeats the request, as the deployer wants it, until the
// operation has ended, and reports its progress.
func (s *Stack) followDeploy(ctx context.Context, client *deployer.Client, request deployer.DeployRequest) error {
	said, saidAt := "", time.Time{}
	for {
		operation, err := client.Deploy(ctx, request)
		switch {
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil && said != err.Error(): // the director may still be busy starting
			said = err.Error()
			s.log.Warn("Consul's deployment is asked for again", "error", said)
		case err == nil && operation.State == deployer.Succeeded:
			return nil
		case err == nil && operation.State == deployer.Failed:
			return errors.New(operation.Error)
		case err == nil && operation.Progress.Message != "" && (operation.Progress.Message != said || time.Since(saidAt) > longestSilence):
			said, saidAt = operation.Progress.Message, time.Now()
			s.config.Report("Consul: %s", said)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is still %s: %w", operation.State, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func retry(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// client talks to one server.
func (c consulSettings) client(address, token string) (*consulapi.Client, error) {
	config := consulapi.DefaultNonPooledConfig()
	config.Address, config.Scheme, config.Token = net.JoinHostPort(address, consulHTTPSPort), "https", token
	config.TLSConfig = consulapi.TLSConfig{Address: consulServerName, CAPem: []byte(c.CA.Certificate)}
	client, err := consulapi.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("prepare a client of Consul: %w", err)
	}
	return client, nil
}

// providerRules is what the provider may do: make and remove the tokens of
// deployments, and tidy up what a deleted deployment left. Consul has no
// narrower right than acl = "write", so this token is worth as much as the
// management token: it stays with the provider.
const providerRules = `acl = "write"
key_prefix "holdfast/" { policy = "write" }
node_prefix "" { policy = "write" }
node_prefix "consul-" { policy = "read" }
service_prefix "" { policy = "write" }
service "consul" { policy = "read" }
`

const providerPolicy = "holdfast-provider"

// providerAccessor names the provider's token.
const providerAccessor = "7f4f6f1c-9f5e-4f0c-8d1b-2f0f6a5d0002"

func ensureProviderToken(ctx context.Context, client *consulapi.Client, token string) error {
	query, write := (&consulapi.QueryOptions{}).WithContext(ctx), (&consulapi.WriteOptions{}).WithContext(ctx)
	policy, _, err := client.ACL().PolicyReadByName(providerPolicy, query)
	if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	switch {
	case policy == nil:
		_, _, err = client.ACL().PolicyCreate(&consulapi.ACLPolicy{Name: providerPolicy, Rules: providerRules}, write)
	case policy.Rules != providerRules:
		policy.Rules = providerRules
		_, _, err = client.ACL().PolicyUpdate(policy, write)
	}
	if err != nil {
		return fmt.Errorf("write policy: %w", err)
	}
	if _, _, err := client.ACL().TokenRead(providerAccessor, query); err == nil {
		return nil
	}
	_, _, err = client.ACL().TokenCreate(&consulapi.ACLToken{
		AccessorID: providerAccessor, SecretID: token, Description: "the providers of Holdfast",
		Policies: []*consulapi.ACLLink{{Name: providerPolicy}},
	}, write)
	return err
}

// ConsulStatus is how Consul's servers are.
type ConsulStatus struct {
	Servers  []string `json:"servers"`           // addresses
	Leader   string   `json:"leader,omitempty"`  // address, absent without one
	Domain   string   `json:"domain"`            // of the instances' names
	Resolver string   `json:"resolver"`          // DNS for the domain on this machine, host:port
	Problem  string   `json:"problem,omitempty"` // why there is no leader
}

func readConsulStatus(ctx context.Context, s settings) ConsulStatus {
	status := ConsulStatus{Servers: s.Consul.Addresses, Domain: domain, Resolver: s.ResolverAddress}
	var problems []error
	for _, address := range s.Consul.Addresses {
		client, err := s.Consul.client(address, s.Consul.ManagementToken)
		if err == nil {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			status.Leader, err = client.Status().LeaderWithQueryOptions((&consulapi.QueryOptions{}).WithContext(ctx))
			cancel()
		}
		if err == nil && status.Leader != "" {
			return status
		}
		problems = append(problems, fmt.Errorf("%s knows no leader (%w)", address, err))
	}
	if len(problems) > 0 {
		status.Problem = errors.Join(problems...).Error()
	}
	return status
}

// consulServers decides on the number of servers: what is asked for, else what
// there is. Servers are added to a running Consul, not taken away: the
// majority of the old ones could go with them.
func consulServers(asked, have int) (int, error) {
	switch {
	case asked != 0 && asked != 1 && asked != 3:
		return 0, fmt.Errorf("there can be 1 or 3 Consul servers, not %d", asked)
	case asked == 0:
		return max(have, 1), nil
	case asked < have:
		return 0, fmt.Errorf("there are %d Consul servers; going back to %d is not supported", have, asked)
	}
	return asked, nil
}

// resolverPart offers DNS for the instances' names on this machine. Its own
// resolver is not touched.
func (s *Stack) resolverPart() part {
	return part{name: "resolver", args: []string{"resolver", "--config", s.folder.configFile("resolver")}, ready: listens(s.settings.ResolverAddress), addresses: []string{s.settings.ResolverAddress}}
}

func (s *Stack) resolverConfig() map[string]any {
	servers := make([]string, len(s.settings.Consul.Addresses))
	for i, address := range s.settings.Consul.Addresses {
		servers[i] = net.JoinHostPort(address, consulDNSPort)
	}
	return map[string]any{"listen": s.settings.ResolverAddress, "domain": domain, "servers": servers}
}

// Resolver is where DNS for the instances' names is answered, and their domain.
func (s *Stack) Resolver() (address, names string) { return s.settings.ResolverAddress, domain }
