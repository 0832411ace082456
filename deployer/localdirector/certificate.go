package localdirector

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
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	caLife     = 10 * 365 * 24 * time.Hour
	serverLife = 2 * 365 * 24 * time.Hour
	// renewBefore is when a start makes a new server certificate.
	renewBefore = 90 * 24 * time.Hour
	// clockSkew is how far behind the clocks of clients may be.
	clockSkew = time.Hour
)

// certificate returns the API's certificate for the names, signed by the CA
// in dir. The CA is made once and kept; the certificate is renewed when it
// does not fit any more.
func certificate(dir string, names []string, now time.Time) (tls.Certificate, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return tls.Certificate{}, fmt.Errorf("create the folder of the certificates: %w", err)
	}
	ca, err := loadPair(dir, "ca")
	if errors.Is(err, fs.ErrNotExist) {
		ca, err = makePair(dir, "ca", caTemplate(now), nil)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("the director's CA: %w", err)
	}
	server, err := loadPair(dir, "server")
	if err != nil || !fits(server.Leaf, ca.Leaf, names, now) {
		server, err = makePair(dir, "server", serverTemplate(names, now), &ca)
	}
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("the API's certificate: %w", err)
	}
	return server, nil
}

// serverNames are those that clients may call the director by.
func serverNames(listen string, more []string) []string {
	names := []string{"127.0.0.1", "::1", "localhost"}
	if host, _, err := net.SplitHostPort(listen); err == nil {
		if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
			names = append(names, host)
		}
	}
	names = append(names, more...)
	slices.Sort(names)
	return slices.Compact(names)
}

func caTemplate(now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Holdfast local director CA"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func serverTemplate(names []string, now time.Time) *x509.Certificate {
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Holdfast local director"},
		NotBefore:   now.Add(-clockSkew),
		NotAfter:    now.Add(serverLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, name)
		}
	}
	return t
}

// fits tells whether a server certificate can go on being used.
func fits(server, ca *x509.Certificate, names []string, now time.Time) bool {
	if now.Add(renewBefore).After(server.NotAfter) || server.CheckSignatureFrom(ca) != nil {
		return false
	}
	var have []string
	have = append(have, server.DNSNames...)
	for _, ip := range server.IPAddresses {
		have = append(have, ip.String())
	}
	slices.Sort(have)
	return slices.Equal(have, names)
}

// makePair makes a key and a certificate, self-signed without a CA, and
// stores both: the certificate last, so that it is never without its key.
func makePair(dir, name string, template *x509.Certificate, ca *tls.Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return tls.Certificate{}, err
	}
	issuer, signer := template, any(key)
	if ca != nil {
		issuer, signer = ca.Leaf, ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := replaceFile(filepath.Join(dir, name+".key"), keyPEM, 0o600); err != nil {
		return tls.Certificate{}, err
	}
	if err := replaceFile(filepath.Join(dir, name+".pem"), certPEM, 0o644); err != nil {
		return tls.Certificate{}, err
	}
	return loadPair(dir, name)
}

func loadPair(dir, name string) (tls.Certificate, error) {
	return tls.LoadX509KeyPair(filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key"))
}
