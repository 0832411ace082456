// Package authority makes certificate authorities of Holdfast's own and
// certificates signed by them. Keys are ECDSA P-256; all results are PEM.
//
// It stores nothing: who calls it keeps the keys.
package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"time"
)

// Validity of what is made here. What lives longer is replaced by its owner.
const Validity = 10 * 365 * 24 * time.Hour

// Pair is a certificate and its key, PEM.
type Pair struct{ Certificate, Key string }

// Authority signs certificates.
type Authority struct {
	Pair
	parsed  *x509.Certificate
	private *ecdsa.PrivateKey
}

// New makes an authority. commonName tells people whose it is.
func New(commonName string) (*Authority, error) {
	template, err := newTemplate(commonName)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make CA key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, fmt.Errorf("make CA certificate: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read CA certificate: %w", err)
	}
	key, err := encodeKey(private)
	if err != nil {
		return nil, err
	}
	return &Authority{Pair{encodeCertificate(der), key}, parsed, private}, nil
}

// Load takes up an authority that New made.
func Load(kept Pair) (*Authority, error) {
	damaged := errors.New("the CA's certificate or key is damaged")
	certificate, _ := pem.Decode([]byte(kept.Certificate))
	key, _ := pem.Decode([]byte(kept.Key))
	if certificate == nil || key == nil {
		return nil, damaged
	}
	parsed, err := x509.ParseCertificate(certificate.Bytes)
	if err != nil {
		return nil, damaged
	}
	private, err := x509.ParsePKCS8PrivateKey(key.Bytes)
	if err != nil {
		return nil, damaged
	}
	ecdsaKey, ok := private.(*ecdsa.PrivateKey)
	if !ok || !ecdsaKey.PublicKey.Equal(parsed.PublicKey) {
		return nil, damaged
	}
	return &Authority{kept, parsed, ecdsaKey}, nil
}

// Issue signs a certificate. names are DNS names or IP addresses that it
// covers.
func (a *Authority) Issue(commonName string, names []string, usages ...x509.ExtKeyUsage) (Pair, error) {
	template, err := newTemplate(commonName)
	if err != nil {
		return Pair{}, err
	}
	for _, name := range names {
		if address, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, address.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = usages
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("make key of %s: %w", commonName, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.parsed, private.Public(), a.private)
	if err != nil {
		return Pair{}, fmt.Errorf("make certificate of %s: %w", commonName, err)
	}
	key, err := encodeKey(private)
	if err != nil {
		return Pair{}, err
	}
	return Pair{encodeCertificate(der), key}, nil
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
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(Validity),
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
