package settings

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/internal/config"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// Settings is the whole file.
type Settings struct {
	Deployment  string      `yaml:"deployment"`
	Node        decide.Node `yaml:"node"`
	Address     string      `yaml:"address"` // of this node, where PostgreSQL and the status endpoint listen
	Replication decide.Mode `yaml:"replication"`
	User        string      `yaml:"user"` // PostgreSQL's; empty: the one that pgkeeper runs as
	LogLevel    slog.Level  `yaml:"log_level"`

	PostgreSQL PostgreSQL `yaml:"postgresql"`
	Login      Login      `yaml:"replication_login"`
	Repmgr     Repmgr     `yaml:"repmgr"`
	Guard      Guard      `yaml:"guard"`
	Keeper     Keeper     `yaml:"keeper"`
	Status     Status     `yaml:"status"`
	Consul     Consul     `yaml:"consul"`
}

// PostgreSQL is the server that is kept.
type PostgreSQL struct {
	Bin             string   `yaml:"bin"`
	Data            string   `yaml:"data"`
	ConfigFile      string   `yaml:"config_file"`
	Reserve         string   `yaml:"reserve"`     // the file that keeps room for the next start; empty: there is none
	KeeperConf      string   `yaml:"keeper_conf"` // the file that ConfigFile includes and the keeper owns
	SocketDirectory string   `yaml:"socket_directory"`
	Port            int      `yaml:"port"`
	Log             string   `yaml:"log"` // what the server writes before its own log begins
	InitDB          []string `yaml:"initdb"`
	BeforeStart     []string `yaml:"before_start"`
	AfterStart      []string `yaml:"after_start"`
	AfterPromote    []string `yaml:"after_promote"`
	StopWithin      int      `yaml:"stop_within_seconds"`
}

// Login is how nodes log in to each other's server.
type Login struct {
	User        string `yaml:"user"`
	Database    string `yaml:"database"`
	Certificate string `yaml:"certificate"`
	PrivateKey  string `yaml:"private_key"`
	CA          string `yaml:"ca"`
}

// Repmgr is where the job's hooks find repmgr, which registers and monitors; pgkeeper
// calls none of its programs.
type Repmgr struct {
	Bin        string `yaml:"bin"`
	ConfigFile string `yaml:"config_file"`
}

// Guard is where the guard is found.
type Guard struct {
	Socket  string `yaml:"socket"`
	PIDFile string `yaml:"pid_file"`
}

// Keeper is where the keeper writes.
type Keeper struct {
	Log string `yaml:"log"`
}

// Status is the endpoint that peers and operators ask.
type Status struct {
	Port        int           `yaml:"port"`
	Certificate string        `yaml:"certificate"`
	PrivateKey  string        `yaml:"private_key"`
	CA          string        `yaml:"ca"`
	ServerName  string        `yaml:"server_name"` // checked in peers' certificates; empty: the chain only
	Token       secret.Secret `yaml:"token"`
}

// Consul is where the lease is. No servers: a single node without Consul.
type Consul struct {
	Servers    []string      `yaml:"servers"`
	CA         string        `yaml:"ca"` // empty: plain HTTP
	ServerName string        `yaml:"server_name"`
	Token      secret.Secret `yaml:"token"`
}

// Load reads and checks the file at path.
func Load(path string) (*Settings, error) {
	s := &Settings{
		Replication: decide.Async,
		PostgreSQL:  PostgreSQL{Port: 5432, StopWithin: 20},
		Login:       Login{User: "repmgr", Database: "repmgr"},
		Status:      Status{Port: 8432},
	}
	if err := config.Load(path, s); err != nil {
		return nil, err
	}
	return s, nil
}

// Validate reports every fault.
func (s *Settings) Validate() error {
	var faults []error
	required := func(key, value string) {
		if value == "" {
			faults = append(faults, fmt.Errorf("%s: required", key))
		}
	}
	absolute := func(key, value string) {
		if !filepath.IsAbs(value) {
			faults = append(faults, fmt.Errorf("%s: must be an absolute path, got %q", key, value))
		}
	}
	port := func(key string, value int) {
		if value < 1 || value > 65535 {
			faults = append(faults, fmt.Errorf("%s: must be a port, got %d", key, value))
		}
	}
	required("deployment", s.Deployment)
	required("node", string(s.Node))
	if net.ParseIP(s.Address) == nil {
		faults = append(faults, fmt.Errorf("address: must be an IP address, got %q", s.Address))
	}
	if s.Replication != decide.Async && s.Replication != decide.Quorum {
		faults = append(faults, fmt.Errorf("replication: must be async or quorum, got %q", s.Replication))
	}
	absolute("postgresql.bin", s.PostgreSQL.Bin)
	absolute("postgresql.data", s.PostgreSQL.Data)
	if s.PostgreSQL.Reserve != "" {
		absolute("postgresql.reserve", s.PostgreSQL.Reserve)
	}
	absolute("postgresql.config_file", s.PostgreSQL.ConfigFile)
	absolute("postgresql.keeper_conf", s.PostgreSQL.KeeperConf)
	absolute("postgresql.socket_directory", s.PostgreSQL.SocketDirectory)
	absolute("postgresql.log", s.PostgreSQL.Log)
	absolute("guard.socket", s.Guard.Socket)
	absolute("guard.pid_file", s.Guard.PIDFile)
	absolute("keeper.log", s.Keeper.Log)
	port("postgresql.port", s.PostgreSQL.Port)
	port("status.port", s.Status.Port)
	required("status.certificate", s.Status.Certificate)
	required("status.private_key", s.Status.PrivateKey)
	required("status.ca", s.Status.CA)
	required("status.token", s.Status.Token.Reveal())
	if s.PostgreSQL.StopWithin < 1 {
		faults = append(faults, fmt.Errorf("postgresql.stop_within_seconds: must be ≥ 1, got %d", s.PostgreSQL.StopWithin))
	}
	for _, server := range s.Consul.Servers {
		if _, _, err := net.SplitHostPort(server); err != nil {
			faults = append(faults, fmt.Errorf("consul.servers: %q: must be host:port", server))
		}
	}
	return errors.Join(faults...)
}

// Decide returns what the decisions need.
func (s *Settings) Decide() decide.Config {
	cfg := decide.Defaults(s.Node, s.Address, s.Replication)
	cfg.StatusPort = s.Status.Port
	cfg.StopWithin = time.Duration(s.PostgreSQL.StopWithin) * time.Second
	return cfg
}

// Credential returns the operating system's user that PostgreSQL runs as; nil
// means the caller's own.
func (s *Settings) Credential() (*syscall.Credential, error) {
	if s.User == "" {
		return nil, nil
	}
	found, err := user.Lookup(s.User)
	if err != nil {
		return nil, fmt.Errorf("look up PostgreSQL's user: %w", err)
	}
	groups, err := found.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("look up the groups of %s: %w", s.User, err)
	}
	credential := &syscall.Credential{}
	if credential.Uid, err = id(found.Uid); err != nil {
		return nil, err
	}
	if credential.Gid, err = id(found.Gid); err != nil {
		return nil, err
	}
	for _, text := range groups {
		group, err := id(text)
		if err != nil {
			return nil, err
		}
		credential.Groups = append(credential.Groups, group)
	}
	return credential, nil
}

func id(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("read id %q: %w", text, err)
	}
	return uint32(n), nil
}
