package postgresql

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
	consulapi "github.com/hashicorp/consul/api"

	"github.com/holdfast-osb/holdfast/internal/fault"
)

// consul makes and removes what a deployment has in Consul: a token that can
// touch its own keys, node and service and nothing else. All is named after
// the deployment, so that nothing has to be remembered.
type consul struct{ servers []*consulapi.Client }

// consulTimeout bounds one request to one server.
const consulTimeout = 5 * time.Second

func newConsul(config ConsulConfig) (*consul, error) {
	c := &consul{}
	for _, address := range config.Addresses {
		client := consulapi.DefaultNonPooledConfig()
		client.Address, client.Scheme, client.Token = withPort(address), "https", config.Token.Reveal()
		client.TLSConfig = consulapi.TLSConfig{Address: config.ServerName, CAPem: []byte(config.CACert)}
		// Nothing of this comes from CONSUL_HTTP_* in the environment.
		client.TokenFile, client.Namespace, client.Partition, client.HttpAuth = "", "", "", nil
		transport, err := consulapi.NewHttpClient(client.Transport, client.TLSConfig)
		if err != nil {
			return nil, fmt.Errorf("prepare a client of Consul: %w", err)
		}
		client.HttpClient = &http.Client{Transport: transport.Transport, Timeout: consulTimeout}
		server, err := consulapi.NewClient(client)
		if err != nil {
			return nil, fmt.Errorf("prepare a client of Consul: %w", err)
		}
		c.servers = append(c.servers, server)
	}
	return c, nil
}

// withPort adds the port of Consul's HTTPS API where an address has none.
func withPort(address string) string {
	if ip, err := netip.ParseAddr(address); err == nil {
		return netip.AddrPortFrom(ip, 8501).String()
	}
	return address
}

// on runs f with the first server that can be talked to. f must be repeatable.
func (c *consul) on(ctx context.Context, f func(*consulapi.Client) error) error {
	var faults []error
	for _, server := range c.servers {
		err := f(server)
		if err == nil {
			return nil
		}
		faults = append(faults, err)
		// A server that answers speaks for all, unless it has no leader.
		var answered consulapi.StatusError
		if errors.As(err, &answered) && answered.Code < http.StatusInternalServerError || ctx.Err() != nil {
			break
		}
	}
	return fault.Wrap(fault.Unavailable, errors.Join(faults...), "the service's directory does not answer right now; try again in a minute")
}

// accessorOf names a deployment's token. It is no secret.
func accessorOf(deployment string) string {
	sum := sha256.Sum256([]byte("holdfast consul accessor\x00" + deployment))
	return asUUID(sum[:])
}

// asUUID makes a UUID (RFC 9562, version 8: of one's own making) of random or
// derived bytes: Consul wants its tokens to look like that.
func asUUID(random []byte) string {
	var id uuid.UUID
	copy(id[:], random)
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return id.String()
}

func policyOf(deployment string) string { return "holdfast-" + deployment }

// nodeRules are all that the nodes of a deployment may do. All records of its
// names belong to one catalog node of the deployment's name.
func nodeRules(deployment string) string {
	return fmt.Sprintf(`key_prefix "holdfast/%[1]s/" { policy = "write" }
node %[1]q { policy = "write" }
service %[1]q { policy = "write" }
`, deployment)
}

// ensureToken makes the deployment's policy and its token with this secret.
func (c *consul) ensureToken(ctx context.Context, deployment, secretID string) error {
	query, write := (&consulapi.QueryOptions{}).WithContext(ctx), (&consulapi.WriteOptions{}).WithContext(ctx)
	return c.on(ctx, func(server *consulapi.Client) error {
		acl := server.ACL()
		policy, _, err := acl.PolicyReadByName(policyOf(deployment), query)
		if err != nil {
			return fmt.Errorf("read policy of %s: %w", deployment, err)
		}
		wanted := &consulapi.ACLPolicy{Name: policyOf(deployment), Description: "nodes of a deployment of Holdfast", Rules: nodeRules(deployment)}
		switch {
		case policy == nil:
			_, _, err = acl.PolicyCreate(wanted, write)
		case policy.Rules != wanted.Rules:
			wanted.ID = policy.ID
			_, _, err = acl.PolicyUpdate(wanted, write)
		}
		if err != nil {
			return fmt.Errorf("write policy of %s: %w", deployment, err)
		}
		token, _, err := acl.TokenRead(accessorOf(deployment), query)
		if err == nil && token.SecretID == secretID {
			return nil
		}
		if err != nil && !absent(err) {
			return fmt.Errorf("read token of %s: %w", deployment, err)
		}
		if err == nil { // of an attempt whose secrets were lost before anybody had them
			if _, err := acl.TokenDelete(accessorOf(deployment), write); err != nil {
				return fmt.Errorf("replace token of %s: %w", deployment, err)
			}
		}
		_, _, err = acl.TokenCreate(&consulapi.ACLToken{
			AccessorID: accessorOf(deployment), SecretID: secretID, Description: "nodes of " + deployment,
			Policies: []*consulapi.ACLLink{{Name: policyOf(deployment)}},
		}, write)
		if err != nil {
			return fmt.Errorf("make token of %s: %w", deployment, err)
		}
		return nil
	})
}

// absent tells whether Consul says that there is no such token.
func absent(err error) bool {
	var answered consulapi.StatusError
	return errors.As(err, &answered) && (answered.Code == http.StatusNotFound || answered.Code == http.StatusForbidden && strings.Contains(answered.Body, "ACL not found"))
}

// remove takes back the token, then what its deployment left behind: keys and
// names. What is not there is no fault.
func (c *consul) remove(ctx context.Context, deployment string) error {
	query, write := (&consulapi.QueryOptions{}).WithContext(ctx), (&consulapi.WriteOptions{}).WithContext(ctx)
	return c.on(ctx, func(server *consulapi.Client) error {
		acl := server.ACL()
		if _, err := acl.TokenDelete(accessorOf(deployment), write); err != nil && !absent(err) {
			return fmt.Errorf("remove token of %s: %w", deployment, err)
		}
		policy, _, err := acl.PolicyReadByName(policyOf(deployment), query)
		if err != nil {
			return fmt.Errorf("read policy of %s: %w", deployment, err)
		}
		if policy != nil {
			if _, err := acl.PolicyDelete(policy.ID, write); err != nil {
				return fmt.Errorf("remove policy of %s: %w", deployment, err)
			}
		}
		if _, err := server.KV().DeleteTree("holdfast/"+deployment+"/", write); err != nil {
			return fmt.Errorf("remove keys of %s: %w", deployment, err)
		}
		return removeNames(ctx, server, deployment)
	})
}

// removeNames removes the deployment's node with all that is on it, and its
// service wherever else it is: Consul lets the service's token put it on any
// node that it leaves as it is.
func removeNames(ctx context.Context, server *consulapi.Client, deployment string) error {
	query, write := (&consulapi.QueryOptions{}).WithContext(ctx), (&consulapi.WriteOptions{}).WithContext(ctx)
	if _, err := server.Catalog().Deregister(&consulapi.CatalogDeregistration{Node: deployment}, write); err != nil {
		return fmt.Errorf("remove names of %s: %w", deployment, err)
	}
	elsewhere, _, err := server.Catalog().Service(deployment, "", query)
	if err != nil {
		return fmt.Errorf("look for names of %s: %w", deployment, err)
	}
	for _, found := range elsewhere {
		if _, err := server.Catalog().Deregister(&consulapi.CatalogDeregistration{Node: found.Node, ServiceID: found.ServiceID}, write); err != nil {
			return fmt.Errorf("remove names of %s: %w", deployment, err)
		}
	}
	return nil
}

// aliasTarget is the address that the deployment's alias names now; empty when
// it names nothing.
func (c *consul) aliasTarget(ctx context.Context, deployment string) (target string, err error) {
	err = c.on(ctx, func(server *consulapi.Client) error {
		found, _, err := server.Catalog().Service(deployment, "primary", (&consulapi.QueryOptions{}).WithContext(ctx))
		if err == nil && len(found) > 0 {
			target = found[0].ServiceAddress
		}
		return err
	})
	return target, err
}
