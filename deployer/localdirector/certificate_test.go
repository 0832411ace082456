package localdirector

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestCertificateIsKeptAndRenewed(t *testing.T) {
	dir, now := filepath.Join(t.TempDir(), "tls"), time.Now()
	names := serverNames("10.1.2.3:25555", []string{"director.example.com", "127.0.0.1"})
	first, err := certificate(dir, names, now)
	if err != nil {
		t.Fatal(err)
	}
	caPEM, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(caPEM)
	for _, name := range []string{"127.0.0.1", "::1", "localhost", "10.1.2.3", "director.example.com"} {
		if _, err := first.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("for %s: %v", name, err)
		}
	}
	if _, err := first.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "other.example.com"}); err == nil {
		t.Error("it is good for any name")
	}
	for file, mode := range map[string]os.FileMode{"ca.key": 0o600, "server.key": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: got %v, %v, want mode %v", file, info, err, mode)
		}
	}
	cases := map[string]struct {
		names []string
		at    time.Time
		spoil func()
		kept  bool
	}{
		"again":             {names, now, func() {}, true},
		"with another name": {serverNames("127.0.0.1:1", nil), now, func() {}, false},
		"near its end":      {serverNames("127.0.0.1:1", nil), now.Add(serverLife - renewBefore/2), func() {}, false},
		"damaged":           {serverNames("127.0.0.1:1", nil), now, func() { _ = os.Remove(filepath.Join(dir, "server.key")) }, false},
	}
	last := first
	for _, name := range []string{"again", "with another name", "near its end", "damaged"} {
		c := cases[name]
		c.spoil()
		got, err := certificate(dir, c.names, c.at)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if kept := got.Leaf.Equal(last.Leaf); kept != c.kept {
			t.Errorf("%s: kept %v, want %v", name, kept, c.kept)
		}
		if _, err := got.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "localhost", CurrentTime: c.at}); err != nil {
			t.Errorf("%s: the CA changed: %v", name, err)
		}
		last = got
	}
}

func TestADamagedCAIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	if _, err := certificate(dir, []string{"localhost"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := certificate(dir, []string{"localhost"}, time.Now()); err == nil {
		t.Error("clients' CA was replaced without a word")
	}
}
