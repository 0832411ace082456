package postgresql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/holdfast-osb/holdfast/internal/authority"
	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
)

// An instance has an authority of its own: whoever trusts it trusts that
// instance and no other. Its key stays with the provider; the server gets a
// certificate, and so does the administrator that the provider logs in as.
const (
	adminRole = "holdfast" // the release's admin.role and admin.common_name
	// replicationName is the common name by which nodes log in to each other,
	// as superusers: the release maps it to its role.
	replicationName = "holdfast_replication"
)

// The names of what Prepare keeps.
const (
	secretKey            = "instance_key"
	secretCA             = "ca_certificate"
	secretCAKey          = "ca_private_key"
	secretServer         = "server_certificate"
	secretServerKey      = "server_private_key"
	secretAdmin          = "admin_certificate"
	secretAdminKey       = "admin_private_key"
	secretReplication    = "replication_certificate"
	secretReplicationKey = "replication_private_key"
)

// ensureSecrets completes an instance's secrets: what is there is kept, the
// rest is made. names are those the server's certificate covers.
func ensureSecrets(have secret.Values, commonName string, names []string) (secret.Values, error) {
	kept := secret.Values{}
	for name, value := range have {
		kept[name] = value
	}
	if kept[secretKey].Empty() {
		kept[secretKey] = secret.New(newInstanceKey())
	}
	ca, err := ensureAuthority(kept, commonName)
	if err != nil {
		return nil, err
	}
	for _, c := range []struct {
		certificate, key string
		commonName       string
		names            []string
		usage            x509.ExtKeyUsage
	}{
		{secretServer, secretServerKey, commonName, names, x509.ExtKeyUsageServerAuth},
		{secretAdmin, secretAdminKey, adminRole, nil, x509.ExtKeyUsageClientAuth},
		{secretReplication, secretReplicationKey, replicationName, nil, x509.ExtKeyUsageClientAuth},
	} {
		switch has, hasKey := !kept[c.certificate].Empty(), !kept[c.key].Empty(); {
		case has && hasKey:
			continue
		case has != hasKey:
			return nil, fmt.Errorf("the instance's secrets are incomplete: of %s and %s there is one", c.certificate, c.key)
		}
		pair, err := ca.Issue(c.commonName, c.names, c.usage)
		if err != nil {
			return nil, err
		}
		kept[c.certificate], kept[c.key] = secret.New(pair.Certificate), secret.New(pair.Key)
	}
	return kept, nil
}

// ensureAuthority takes up the instance's authority, or makes it. An authority
// is never replaced: apps trust it.
func ensureAuthority(kept secret.Values, commonName string) (*authority.Authority, error) {
	certificate, key := kept[secretCA], kept[secretCAKey]
	if certificate.Empty() != key.Empty() {
		return nil, errors.New("the instance's secrets are incomplete: of the CA's certificate and key there is one")
	}
	if !certificate.Empty() {
		return authority.Load(authority.Pair{Certificate: certificate.Reveal(), Key: key.Reveal()})
	}
	ca, err := authority.New(commonName + " CA")
	if err != nil {
		return nil, err
	}
	kept[secretCA], kept[secretCAKey] = secret.New(ca.Certificate), secret.New(ca.Key)
	return ca, nil
}

// adminTLS is how the provider logs in to an instance: as the administrator,
// to a server that its own authority vouches for under its primary's name.
func (s *Service) adminTLS(in spi.Instance) (*tls.Config, error) {
	certificate, err := tls.X509KeyPair([]byte(in.Secrets[secretAdmin].Reveal()), []byte(in.Secrets[secretAdminKey].Reveal()))
	if err != nil {
		return nil, errors.New("the administrator's certificate is missing or damaged")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(in.Secrets[secretCA].Reveal())) {
		return nil, errors.New("the instance's CA is missing or damaged")
	}
	return &tls.Config{
		Certificates: []tls.Certificate{certificate}, RootCAs: roots,
		ServerName: s.primaryName(in.Deployment), MinVersion: tls.VersionTLS12,
	}, nil
}
