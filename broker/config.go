package broker

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/holdfast-osb/holdfast/broker/operation"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// Config is the broker's part of its configuration file.
type Config struct {
	// Name tells this process from others on the same store, in logs and
	// leases. Default: made at random.
	Name string `yaml:"name"`
	// Username and Password are the platform's basic auth credentials.
	Username string        `yaml:"username"`
	Password secret.Secret `yaml:"password"`
	// DeploymentPrefix begins every deployment's name. Default: the name of
	// the service offering. Brokers that share a director need different ones.
	DeploymentPrefix string `yaml:"deployment_prefix"`
	// CatalogRefresh is how often the SPIs are asked for their catalogs again.
	CatalogRefresh time.Duration `yaml:"catalog_refresh"`
	// BindTimeout bounds the SPI's work on one binding. Platforms give up
	// after 60 s.
	BindTimeout time.Duration `yaml:"bind_timeout"`
	// Retention is how long deleted instances and ended operations are kept:
	// so long is a late poll after a deletion answered.
	Retention time.Duration `yaml:"retention"`
	Operation Operation     `yaml:"operation"`
}

// Operation is how asynchronous operations are worked on.
type Operation struct {
	// Lease is how long an operation of a broker that was killed waits until
	// it is taken up again.
	Lease       time.Duration    `yaml:"lease"`
	Idle        time.Duration    `yaml:"idle"`         // how often to look for other brokers' operations
	CallTimeout time.Duration    `yaml:"call_timeout"` // of one step's calls to SPI and deployer
	Grace       time.Duration    `yaml:"grace"`        // how long a stop waits for running steps
	Parallel    int              `yaml:"parallel"`     // operations at once
	Limits      operation.Limits `yaml:"limits"`
}

// DefaultConfig is complete but for the credentials.
func DefaultConfig() Config {
	return Config{
		Username: "broker", CatalogRefresh: time.Minute, BindTimeout: 50 * time.Second, Retention: 30 * 24 * time.Hour,
		Operation: Operation{Lease: 6 * time.Second, Idle: time.Second, CallTimeout: time.Minute, Grace: 10 * time.Second, Parallel: 100,
			Limits: operation.DefaultLimits()},
	}
}

var prefixPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,22}[a-z0-9]$`)

// Validate reports every fault at once, by dotted key.
func (c Config) Validate() error {
	var faults []error
	add := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	add(c.Username == "", "username: must be given")
	add(c.Password.Empty(), "password: must be given")
	add(c.DeploymentPrefix != "" && !prefixPattern.MatchString(c.DeploymentPrefix), "deployment_prefix: must match %s, got %q", prefixPattern, c.DeploymentPrefix)
	for _, d := range []struct {
		key        string
		value, min time.Duration
	}{
		{"catalog_refresh", c.CatalogRefresh, time.Second},
		{"bind_timeout", c.BindTimeout, time.Second},
		{"retention", c.Retention, time.Hour},
		{"operation.lease", c.Operation.Lease, time.Second},
		{"operation.idle", c.Operation.Idle, 10 * time.Millisecond},
		{"operation.call_timeout", c.Operation.CallTimeout, time.Second},
	} {
		add(d.value < d.min, "%s: must be ≥ %s, got %s", d.key, d.min, d.value)
	}
	add(c.Operation.Grace < 0, "operation.grace: must be ≥ 0s, got %s", c.Operation.Grace)
	add(c.Operation.Parallel < 1, "operation.parallel: must be ≥ 1, got %d", c.Operation.Parallel)
	return errors.Join(append(faults, c.Operation.Limits.Validate("operation.limits"))...)
}
