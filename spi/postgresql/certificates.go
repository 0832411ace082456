package postgresql

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/holdfast-osb/holdfast/internal/secret"
	"github.com/holdfast-osb/holdfast/spi"
)

// An instance has an authority of its own: whoever trusts it trusts that
// instance and no other. Its key stays with the provider; the server gets a
// certificate, and so does the administrator that the provider logs in as.
const (
	validity  = 10 * 365 * 24 * time.Hour
	adminRole = "holdfast" // the release's admin.role and admin.common_name
)

// The names of what Prepare keeps.
const (
	secretKey       = "instance_key"
	secretCA        = "ca_certificate"
	secretCAKey     = "ca_private_key"
	secretServer    = "server_certificate"
	secretServerKey = "server_private_key"
	secretAdmin     = "admin_certificate"
	secretAdminKey  = "admin_private_key"
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
	if !kept[secretCAKey].Empty() {
		for _, name := range []string{secretCA, secretServer, secretServerKey, secretAdmin, secretAdminKey} {
			if kept[name].Empty() {
				return nil, fmt.Errorf("the instance's secrets are incomplete: no %s", name)
			}
		}
		return kept, nil
	}
	ca, err := newAuthority(commonName)
	if err != nil {
		return nil, err
	}
	server, err := ca.issue(commonName, names, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return nil, err
	}
	admin, err := ca.issue(adminRole, nil, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		secretCA: ca.certificate, secretCAKey: ca.key,
		secretServer: server.certificate, secretServerKey: server.key,
		secretAdmin: admin.certificate, secretAdminKey: admin.key,
	} {
		kept[name] = secret.New(value)
	}
	return kept, nil
}

// issued is a certificate and its key, PEM.
type issued struct{ certificate, key string }

type authority struct {
	issued
	parsed  *x509.Certificate
	private *ecdsa.PrivateKey
}

func newAuthority(commonName string) (authority, error) {
	template, err := newTemplate(commonName + " CA")
	if err != nil {
		return authority{}, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("make CA key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return authority{}, fmt.Errorf("make CA certificate: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, fmt.Errorf("read CA certificate: %w", err)
	}
	key, err := encodeKey(private)
	if err != nil {
		return authority{}, err
	}
	return authority{issued{encodeCertificate(der), key}, parsed, private}, nil
}

func (a authority) issue(commonName string, names []string, usage x509.ExtKeyUsage) (issued, error) {
	template, err := newTemplate(commonName)
	if err != nil {
		return issued{}, err
	}
	template.DNSNames = names
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return issued{}, fmt.Errorf("make key of %s: %w", commonName, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.parsed, private.Public(), a.private)
	if err != nil {
		return issued{}, fmt.Errorf("make certificate of %s: %w", commonName, err)
	}
	key, err := encodeKey(private)
	if err != nil {
		return issued{}, err
	}
	return issued{encodeCertificate(der), key}, nil
}

func newTemplate(commonName string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	now := time.Now()
	// A common name holds 64 characters at the most (RFC 5280); names are in
	// the alternative names.
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Holdfast"}, CommonName: commonName[:min(len(commonName), 64)]},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validity),
	}, nil
}

func encodeCertificate(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func encodeKey(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("encode key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
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
