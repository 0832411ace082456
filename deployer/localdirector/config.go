package localdirector

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Config is the director's configuration file. Start from DefaultConfig.
type Config struct {
	// Dir holds all of the director's state; an absolute path.
	Dir string `yaml:"dir"`
	// Listen is the address of the API, host:port.
	Listen string `yaml:"listen"`
	// Name is the director's, shown by `bosh env` and part of the names of
	// generated variables: changing it makes new ones.
	Name  string      `yaml:"name"`
	Admin AdminConfig `yaml:"admin"`
	TLS   TLSConfig   `yaml:"tls"`
	// Workers run this many tasks at a time.
	Workers int `yaml:"workers"`
	// ResurrectionDelay is how long a VM must have been dead before it is
	// brought back; negative: never.
	ResurrectionDelay time.Duration `yaml:"resurrection_delay"`
	// AgentTimeout is how long an agent may be silent before its VM is
	// brought back like a dead one.
	AgentTimeout time.Duration `yaml:"agent_timeout"`
	// StopTimeout is how long running tasks may take to end when the director
	// is stopped, before they are interrupted.
	StopTimeout time.Duration `yaml:"stop_timeout"`
	// CompiledPackageCache is a folder that several directors may share;
	// default: one below Dir.
	CompiledPackageCache string `yaml:"compiled_package_cache"`
	// Ruby renders the templates of jobs; a path, or a name to find in PATH.
	Ruby string `yaml:"ruby"`

	// VMInit starts pid 1 of a VM; nil: this executable.
	VMInit []string `yaml:"-"`
	// Ready is told the address once the API answers; port 0 chooses one.
	Ready func(address string) `yaml:"-"`
}

// AdminConfig is the one user of the API.
type AdminConfig struct {
	Username string `yaml:"username"`
	Password string `yaml:"password"`
}

// TLSConfig says what the API's certificate is for. Its CA is made on the
// first start and kept in the director's folder (CAFile).
type TLSConfig struct {
	// Names are addresses and host names that clients use, beside loopback
	// and the host of Listen.
	Names []string `yaml:"names"`
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{
		Listen:       "127.0.0.1:25555",
		Name:         "holdfast",
		Admin:        AdminConfig{Username: "admin"},
		Workers:      3,
		AgentTimeout: time.Minute,
		StopTimeout:  30 * time.Second,
		Ruby:         "ruby",
	}
}

var (
	directorName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)
	hostName     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
)

const (
	minPassword = 8
	maxWorkers  = 64
)

// Validate reports every fault at once, each by its dotted key. It never
// quotes the password.
func (c *Config) Validate() error {
	var faults []error
	fault := func(key, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if !filepath.IsAbs(c.Dir) || filepath.Clean(c.Dir) == "/" {
		fault("dir", "must be the absolute path of a folder of its own, got %q", c.Dir)
	}
	if host, port, err := net.SplitHostPort(c.Listen); err != nil || host == "" || !isPort(port) {
		fault("listen", "must be host:port, got %q", c.Listen)
	}
	if !directorName.MatchString(c.Name) {
		fault("name", "must be letters, digits, '-' and '_', at most 63, got %q", c.Name)
	}
	if c.Admin.Username == "" || strings.ContainsAny(c.Admin.Username, ":\r\n") {
		fault("admin.username", "must not be empty and have no colon, got %q", c.Admin.Username)
	}
	if len(c.Admin.Password) < minPassword {
		fault("admin.password", "must have at least %d characters", minPassword)
	}
	for i, name := range c.TLS.Names {
		if _, err := netip.ParseAddr(name); err != nil && !hostName.MatchString(name) {
			fault(fmt.Sprintf("tls.names[%d]", i), "must be an address or a host name, got %q", name)
		}
	}
	if c.Workers < 1 || c.Workers > maxWorkers {
		fault("workers", "must be 1 to %d, got %d", maxWorkers, c.Workers)
	}
	for key, d := range map[string]time.Duration{"agent_timeout": c.AgentTimeout, "stop_timeout": c.StopTimeout} {
		if d < time.Second {
			fault(key, "must be ≥ 1s, got %v", d)
		}
	}
	if d := c.ResurrectionDelay; d > 0 && d < time.Millisecond {
		fault("resurrection_delay", "must be 0s, ≥ 1ms or negative, got %v", d)
	}
	if c.CompiledPackageCache != "" && !filepath.IsAbs(c.CompiledPackageCache) {
		fault("compiled_package_cache", "must be an absolute path, got %q", c.CompiledPackageCache)
	}
	if c.Ruby == "" {
		fault("ruby", "must name a Ruby interpreter")
	}
	return errors.Join(faults...)
}

func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == port
}
