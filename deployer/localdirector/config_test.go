package localdirector_test

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector"
)

func goodConfig() localdirector.Config {
	c := localdirector.DefaultConfig()
	c.Dir, c.Admin.Password = "/var/lib/holdfast/director", "long enough"
	return c
}

func TestConfigIsChecked(t *testing.T) {
	cases := map[string]struct {
		change func(*localdirector.Config)
		want   string // "" for a good one
	}{
		"defaults":                        {func(*localdirector.Config) {}, ""},
		"port 0":                          {func(c *localdirector.Config) { c.Listen = "127.0.0.1:0" }, ""},
		"no resurrection":                 {func(c *localdirector.Config) { c.ResurrectionDelay = -1 }, ""},
		"names of the certificate":        {func(c *localdirector.Config) { c.TLS.Names = []string{"10.0.0.1", "director.example.com"} }, ""},
		"a folder that is relative":       {func(c *localdirector.Config) { c.Dir = "state" }, `dir: must be the absolute path of a folder of its own, got "state"`},
		"the root as folder":              {func(c *localdirector.Config) { c.Dir = "/../" }, "dir: "},
		"an address without a port":       {func(c *localdirector.Config) { c.Listen = "127.0.0.1" }, "listen: must be host:port"},
		"an address without a host":       {func(c *localdirector.Config) { c.Listen = ":25555" }, "listen: must be host:port"},
		"a port that is too high":         {func(c *localdirector.Config) { c.Listen = "127.0.0.1:65536" }, "listen: must be host:port"},
		"a name with a slash":             {func(c *localdirector.Config) { c.Name = "a/b" }, "name: "},
		"a user with a colon":             {func(c *localdirector.Config) { c.Admin.Username = "a:b" }, "admin.username: "},
		"no password":                     {func(c *localdirector.Config) { c.Admin.Password = "" }, "admin.password: must have at least 8 characters"},
		"a name that is none":             {func(c *localdirector.Config) { c.TLS.Names = []string{"ok", "a b"} }, `tls.names[1]: must be an address or a host name, got "a b"`},
		"no workers":                      {func(c *localdirector.Config) { c.Workers = 0 }, "workers: must be 1 to 64, got 0"},
		"a time without a unit":           {func(c *localdirector.Config) { c.AgentTimeout = 60 }, "agent_timeout: must be ≥ 1s, got 60ns"},
		"a stop in no time":               {func(c *localdirector.Config) { c.StopTimeout = 0 }, "stop_timeout: must be ≥ 1s, got 0s"},
		"a delay without a unit":          {func(c *localdirector.Config) { c.ResurrectionDelay = 5 }, "resurrection_delay: must be 0s, ≥ 1ms or negative, got 5ns"},
		"a cache somewhere":               {func(c *localdirector.Config) { c.CompiledPackageCache = "cache" }, "compiled_package_cache: must be an absolute path"},
		"no ruby":                         {func(c *localdirector.Config) { c.Ruby = "" }, "ruby: must name a Ruby interpreter"},
		"a delay of nanoseconds (1ms ok)": {func(c *localdirector.Config) { c.ResurrectionDelay = time.Millisecond }, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			config := goodConfig()
			c.change(&config)
			err := config.Validate()
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got %v, want no fault", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestConfigTellsAllFaultsAndNoSecret(t *testing.T) {
	config := goodConfig()
	config.Dir, config.Workers, config.Admin.Password = "", -1, "s3cret"
	err := config.Validate()
	if err == nil {
		t.Fatal("no fault")
	}
	for _, want := range []string{"dir: ", "workers: ", "admin.password: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q too", err, want)
		}
	}
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the password shows: %v", err)
	}
}
