package postgresql

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

// Config of the provider. Plans may be replaced by the operator's own.
type Config struct {
	// Offering's identity in the catalog.
	ServiceID   string `yaml:"service_id"`
	ServiceName string `yaml:"service_name"`
	// Domain is the DNS domain of the instances' names, which their
	// certificates cover: primary.<deployment>.service.<domain>.
	Domain string       `yaml:"domain"`
	Plans  []PlanConfig `yaml:"plans"`
	// Port is the one that the template gives the servers.
	Port int `yaml:"port"`
	// ConnectTimeout bounds one connection attempt to an instance, and
	// StatementTimeout one statement there.
	ConnectTimeout   time.Duration `yaml:"connect_timeout"`
	StatementTimeout time.Duration `yaml:"statement_timeout"`
	// PrimaryTimeout bounds the search for an instance's primary: a failover
	// takes seconds.
	PrimaryTimeout time.Duration `yaml:"primary_timeout"`
	// Consul holds the instances' names and leases.
	Consul ConsulConfig `yaml:"consul"`
}

// ConsulConfig is how the provider, and the nodes it prepares, reach Consul.
type ConsulConfig struct {
	Addresses []string `yaml:"addresses"` // of the servers' HTTPS API: IP addresses, port 8501 unless given
	// ServerName is in the servers' certificate.
	ServerName string `yaml:"server_name"`
	CACert     string `yaml:"ca_cert"` // PEM
	// Token may make and remove policies and tokens (acl = "write"), and
	// remove what a deployment left: its keys and its node.
	Token secret.Secret `yaml:"token"`
}

func (c ConsulConfig) faults() []error {
	var faults []error
	if len(c.Addresses) == 0 {
		faults = append(faults, errors.New("consul.addresses: at least one is needed"))
	}
	for i, address := range c.Addresses {
		if _, err := netip.ParseAddr(address); err == nil {
			continue
		}
		if _, err := netip.ParseAddrPort(address); err != nil {
			faults = append(faults, fmt.Errorf("consul.addresses[%d]: must be an IP address, with a port or without, got %q", i, address))
		}
	}
	if !domainPattern.MatchString(c.ServerName) {
		faults = append(faults, fmt.Errorf("consul.server_name: must be a DNS name, got %q", c.ServerName))
	}
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(c.CACert)) {
		faults = append(faults, errors.New("consul.ca_cert: must be a certificate (PEM)"))
	}
	if c.Token.Empty() {
		faults = append(faults, errors.New("consul.token: must be given"))
	}
	return faults
}

// PlanConfig is one plan: what the catalog says and what the template gets.
type PlanConfig struct {
	ID          string   `yaml:"id"`
	Name        string   `yaml:"name"`
	Description string   `yaml:"description"`
	Free        bool     `yaml:"free"`
	Bullets     []string `yaml:"bullets"`
	Template    string   `yaml:"template"`
	VMType      string   `yaml:"vm_type"`   // of the director's cloud config
	DiskType    string   `yaml:"disk_type"` // of the director's cloud config
	MemoryMB    int      `yaml:"memory_mb"` // of that VM type: PostgreSQL's settings follow it
	DiskMB      int      `yaml:"disk_mb"`   // of that disk type: a plan never migrates to a smaller disk
	Poolable    bool     `yaml:"poolable"`
	Nodes       int      `yaml:"nodes"` // 1, which is the default, or 3
	// Replication is async, the default, or quorum, for instances of several
	// nodes whose parameters do not say it.
	Replication string `yaml:"replication"`
}

// Ways to replicate: what a commit waits for.
const (
	replicationAsync  = "async"
	replicationQuorum = "quorum"
)

// complete fills in what a plan may leave out.
func (p PlanConfig) complete() PlanConfig {
	p.Nodes, p.Replication = max(p.Nodes, 1), cmp.Or(p.Replication, replicationAsync)
	return p
}

// Defaults is the provider as it ships: two plans for one node, two for three.
// Where Consul is has no default.
func Defaults() Config {
	const template = "postgresql"
	return Config{
		ServiceID:        "5c7f4a1e-3c1b-4d0e-9f0a-6b1d2f7c9a01",
		ServiceName:      "postgresql",
		Domain:           "holdfast.internal",
		Port:             5432,
		ConnectTimeout:   3 * time.Second,
		StatementTimeout: 15 * time.Second,
		PrimaryTimeout:   15 * time.Second,
		Consul:           ConsulConfig{ServerName: "server.dc1.holdfast.internal"},
		Plans: []PlanConfig{
			{
				ID: "0d9b1f0c-6f0e-4a53-8a3c-1f6a6c0f0b11", Name: "single-small", Template: template, Free: true, Poolable: true, Nodes: 1,
				Description: "One dedicated PostgreSQL 15 server, 512 MiB of memory, 1 GiB of disk",
				Bullets:     []string{"Dedicated VM", "512 MiB of memory", "1 GiB of disk", "TLS"},
				VMType:      "small", DiskType: "small", MemoryMB: 512, DiskMB: 1024,
			},
			{
				ID: "0d9b1f0c-6f0e-4a53-8a3c-1f6a6c0f0b12", Name: "single-large", Template: template, Poolable: true, Nodes: 1,
				Description: "One dedicated PostgreSQL 15 server, 1 GiB of memory, 4 GiB of disk",
				Bullets:     []string{"Dedicated VM", "1 GiB of memory", "4 GiB of disk", "TLS"},
				VMType:      "large", DiskType: "large", MemoryMB: 1024, DiskMB: 4096,
			},
			{
				ID: "0d9b1f0c-6f0e-4a53-8a3c-1f6a6c0f0b21", Name: "cluster-small", Template: template, Poolable: true, Nodes: 3,
				Description: "Three PostgreSQL 15 nodes with failover, each 512 MiB of memory, 1 GiB of disk",
				Bullets:     []string{"Three dedicated VMs", "Failover in seconds", "512 MiB of memory each", "1 GiB of disk each", "TLS"},
				VMType:      "small", DiskType: "small", MemoryMB: 512, DiskMB: 1024,
			},
			{
				ID: "0d9b1f0c-6f0e-4a53-8a3c-1f6a6c0f0b22", Name: "cluster-large", Template: template, Poolable: true, Nodes: 3,
				Description: "Three PostgreSQL 15 nodes with failover, each 1 GiB of memory, 4 GiB of disk",
				Bullets:     []string{"Three dedicated VMs", "Failover in seconds", "1 GiB of memory each", "4 GiB of disk each", "TLS"},
				VMType:      "large", DiskType: "large", MemoryMB: 1024, DiskMB: 4096,
			},
		},
	}
}

var (
	idPattern     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	namePattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	domainPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
)

// Validate reports every fault at once, by key.
func (c Config) Validate() error {
	var faults []error
	refuse := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !idPattern.MatchString(c.ServiceID) {
		refuse("service_id: must match %s, got %q", idPattern, c.ServiceID)
	}
	if !namePattern.MatchString(c.ServiceName) {
		refuse("service_name: must match %s, got %q", namePattern, c.ServiceName)
	}
	if !domainPattern.MatchString(c.Domain) {
		refuse("domain: must be a DNS domain, got %q", c.Domain)
	}
	if c.Port < 1 || c.Port > 65535 {
		refuse("port: must be from 1 to 65535, got %d", c.Port)
	}
	if c.ConnectTimeout < 100*time.Millisecond || c.ConnectTimeout > 30*time.Second {
		refuse("connect_timeout: must be from 100ms to 30s, got %s", c.ConnectTimeout)
	}
	if c.StatementTimeout < time.Second || c.StatementTimeout > 30*time.Second {
		refuse("statement_timeout: must be from 1s to 30s, got %s", c.StatementTimeout)
	}
	if c.PrimaryTimeout < time.Second || c.PrimaryTimeout > 20*time.Second {
		refuse("primary_timeout: must be from 1s to 20s, got %s", c.PrimaryTimeout)
	}
	faults = append(faults, c.Consul.faults()...)
	if len(c.Plans) == 0 {
		refuse("plans: at least one is needed")
	}
	for i, plan := range c.Plans {
		for _, fault := range plan.faults() {
			refuse("plans[%d].%w", i, fault)
		}
		earlier := c.Plans[:i]
		if slices.ContainsFunc(earlier, func(p PlanConfig) bool { return p.ID == plan.ID }) {
			refuse("plans[%d].id: %q occurs twice", i, plan.ID)
		}
		if slices.ContainsFunc(earlier, func(p PlanConfig) bool { return p.Name == plan.Name }) {
			refuse("plans[%d].name: %q occurs twice", i, plan.Name)
		}
	}
	return errors.Join(faults...)
}

func (p PlanConfig) faults() []error {
	var faults []error
	if !idPattern.MatchString(p.ID) {
		faults = append(faults, fmt.Errorf("id: must match %s, got %q", idPattern, p.ID))
	}
	if !namePattern.MatchString(p.Name) {
		faults = append(faults, fmt.Errorf("name: must match %s, got %q", namePattern, p.Name))
	}
	for key, value := range map[string]string{"description": p.Description, "template": p.Template, "vm_type": p.VMType, "disk_type": p.DiskType} {
		if value == "" {
			faults = append(faults, fmt.Errorf("%s: must be given", key))
		}
	}
	whole := p.complete()
	if whole.Nodes != 1 && whole.Nodes != 3 {
		faults = append(faults, fmt.Errorf("nodes: must be 1 or 3, got %d", p.Nodes))
	}
	switch {
	case whole.Replication != replicationAsync && whole.Replication != replicationQuorum:
		faults = append(faults, fmt.Errorf("replication: must be async or quorum, got %q", p.Replication))
	case whole.Replication == replicationQuorum && whole.Nodes == 1:
		faults = append(faults, errors.New("replication: quorum needs more than one node"))
	}
	if p.MemoryMB < 128 {
		faults = append(faults, fmt.Errorf("memory_mb: must be at least 128, got %d", p.MemoryMB))
	}
	if p.DiskMB < 512 {
		faults = append(faults, fmt.Errorf("disk_mb: must be at least 512, got %d", p.DiskMB))
	}
	return faults
}
