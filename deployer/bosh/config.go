package bosh

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

// Config says how to reach a director. Credentials are a user of the director
// or, where it uses a UAA, a client of that.
type Config struct {
	URL          string        `yaml:"url"`     // https://host:25555
	CACert       string        `yaml:"ca_cert"` // PEM or a file; absent: the system's
	Username     string        `yaml:"username"`
	Password     secret.Secret `yaml:"password"`
	Client       string        `yaml:"client"`
	ClientSecret secret.Secret `yaml:"client_secret"`
	// Owner marks our deployments on a director that several Holdfasts share.
	Owner string `yaml:"owner"`
	// RequestTimeout bounds each request to the director.
	RequestTimeout time.Duration `yaml:"request_timeout"`
	// SettleTime is how long a submission without an answer may still turn
	// into a task: until then it is not repeated.
	SettleTime time.Duration `yaml:"settle_time"`
	// MaxConnections bounds the connections to the director.
	MaxConnections int `yaml:"max_connections"`
}

// Defaults is a Config to be completed.
func Defaults() Config {
	return Config{Owner: "default", RequestTimeout: 10 * time.Second, SettleTime: 10 * time.Second, MaxConnections: 8}
}

var ownerPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// Validate reports every fault at once, by key.
func (c Config) Validate() error {
	var faults []error
	refuse := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
		refuse("url: must be https://host:port, got %q", c.URL)
	}
	if c.CACert != "" {
		if _, err := c.roots(); err != nil {
			refuse("ca_cert: %w", err)
		}
	}
	user, client := c.Username != "" || !c.Password.Empty(), c.Client != "" || !c.ClientSecret.Empty()
	switch {
	case user == client:
		refuse("username: give either username and password or client and client_secret")
	case user && (c.Username == "" || c.Password.Empty()):
		refuse("password: username and password go together")
	case client && (c.Client == "" || c.ClientSecret.Empty()):
		refuse("client_secret: client and client_secret go together")
	}
	if !ownerPattern.MatchString(c.Owner) {
		refuse("owner: must match %s", ownerPattern)
	}
	if c.RequestTimeout < time.Second || c.RequestTimeout > time.Minute {
		refuse("request_timeout: must be from 1s to 1m, got %s", c.RequestTimeout)
	}
	if c.SettleTime < 0 || c.SettleTime > 10*time.Minute {
		refuse("settle_time: must be from 0s to 10m, got %s", c.SettleTime)
	}
	if c.MaxConnections < 1 {
		refuse("max_connections: must be at least 1, got %d", c.MaxConnections)
	}
	return errors.Join(faults...)
}

// roots are the CAs that may sign the director's certificate; nil for the
// system's.
func (c Config) roots() (*x509.CertPool, error) {
	if c.CACert == "" {
		return nil, nil
	}
	pem := []byte(c.CACert)
	if !strings.Contains(c.CACert, "-----BEGIN") {
		var err error
		if pem, err = os.ReadFile(c.CACert); err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("holds no PEM certificate")
	}
	return pool, nil
}
