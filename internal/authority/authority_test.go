package authority_test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/internal/authority"
)

func TestIssuedCertificatesAreTrusted(t *testing.T) {
	made, err := authority.New("test " + strings.Repeat("long", 20))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := authority.Load(made.Pair)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(made.Certificate))
	for name, a := range map[string]*authority.Authority{"made": made, "kept": kept} {
		pair, err := a.Issue("server", []string{"a.example", "10.0.0.1"}, x509.ExtKeyUsageServerAuth)
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := tls.X509KeyPair([]byte(pair.Certificate), []byte(pair.Key))
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"a.example", "10.0.0.1"} {
			if _, err := certificate.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
				t.Errorf("%s, %s: %v", name, host, err)
			}
		}
		if _, err := certificate.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "b.example"}); err == nil {
			t.Errorf("%s: a name that was not asked for is covered", name)
		}
		if _, err := certificate.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
			t.Errorf("%s: a server's certificate is good for a client", name)
		}
	}
}

func TestLoadRefusesWhatDoesNotBelongTogether(t *testing.T) {
	one, err := authority.New("one")
	if err != nil {
		t.Fatal(err)
	}
	other, err := authority.New("other")
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string]authority.Pair{
		"nothing": {}, "another's key": {Certificate: one.Certificate, Key: other.Key}, "no PEM": {Certificate: "x", Key: "y"},
	} {
		if _, err := authority.Load(pair); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
