package bosh_test

import (
	"cmp"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/deployer/bosh"
	"github.com/holdfast-osb/holdfast/deployer/bosh/directortest"
	"github.com/holdfast-osb/holdfast/deployer/deployertest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release/releasetest"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// TestLocalDirector runs the suites against the local director.
func TestLocalDirector(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes; not part of -short")
	}
	testDirector(t, startLocalDirector(t))
}

// TestEnvironment runs the suites against the director that the bosh CLI's
// variables name. It must have a stemcell, and its cloud config a zone z1, a VM
// type default and a network default with five free addresses.
func TestEnvironment(t *testing.T) {
	environment := os.Getenv("BOSH_ENVIRONMENT")
	if environment == "" {
		t.Skip("set BOSH_ENVIRONMENT, BOSH_CLIENT, BOSH_CLIENT_SECRET and BOSH_CA_CERT to test another director")
	}
	testDirector(t, realDirector{url: directorURL(t, environment), username: os.Getenv("BOSH_CLIENT"),
		password: os.Getenv("BOSH_CLIENT_SECRET"), ca: os.Getenv("BOSH_CA_CERT")})
}

func directorURL(t *testing.T, environment string) string {
	t.Helper()
	if !strings.Contains(environment, "://") {
		environment = "https://" + environment
	}
	u, err := url.Parse(environment)
	if err != nil {
		t.Fatalf("BOSH_ENVIRONMENT: %v", err)
	}
	return "https://" + net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "25555"))
}

// realDirector is how to reach one.
type realDirector struct {
	url, username, password string
	ca                      string // PEM or a file
}

func testDirector(t *testing.T, d realDirector) {
	d.bosh(t, "upload-release", releasetest.Create(t, releasetest.DummyRelease(t), "dummy", "1.0.0"))
	stemcellOS := d.stemcellOS(t)
	caText := d.ca
	if !strings.Contains(caText, "-----BEGIN") {
		content, err := os.ReadFile(d.ca)
		if err != nil {
			t.Fatalf("read the director's CA: %v", err)
		}
		caText = string(content)
	}
	t.Run("behaviour", func(t *testing.T) {
		directortest.Suite(t, directortest.Target{URL: d.url, CACert: caText, Username: d.username, Password: d.password,
			StemcellOS: stemcellOS, Limit: 5 * time.Minute})
	})
	t.Run("deployer", func(t *testing.T) {
		deployertest.Run(t, func(t *testing.T) deployertest.Fixture {
			fake := &directortest.Fake{URL: d.url, CACert: caText, Username: d.username, Password: d.password}
			return deployertest.Fixture{Service: newService(t, fake, func(c *bosh.Config) { c.Owner = "conformance" }),
				Request: func() deployer.DeployRequest {
					in := sampleRequest()
					in.Attributes["stemcell_os"] = stemcellOS
					in.SecretAttributes["key"] = secret.New("a-password-for-tests")
					return in
				}, Limit: 5 * time.Minute, Poll: 200 * time.Millisecond}
		})
	})
}

// bosh runs the stock CLI.
func (d realDirector) bosh(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), releasetest.BoshCLI(t), args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "BOSH_NON_INTERACTIVE=true", "BOSH_ENVIRONMENT="+d.url,
		"BOSH_CLIENT="+d.username, "BOSH_CLIENT_SECRET="+d.password, "BOSH_CA_CERT="+d.ca)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("bosh %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// stemcellOS is that of any stemcell there.
func (d realDirector) stemcellOS(t *testing.T) string {
	t.Helper()
	var listing struct {
		Tables []struct {
			Rows []struct {
				OS string `json:"os"`
			}
		}
	}
	if err := json.Unmarshal(d.bosh(t, "stemcells", "--json"), &listing); err != nil || len(listing.Tables) == 0 || len(listing.Tables[0].Rows) == 0 {
		t.Fatalf("the director has no stemcell (%v)", err)
	}
	return listing.Tables[0].Rows[0].OS
}
