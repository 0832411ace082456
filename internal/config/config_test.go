package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

type sample struct {
	Listen string        `yaml:"listen"`
	Poll   time.Duration `yaml:"poll"`
	Token  secret.Secret `yaml:"token"`
}

func (s *sample) Validate() error {
	var faults []error
	if s.Listen == "" {
		faults = append(faults, errors.New("listen: must be given"))
	}
	if s.Poll < time.Second {
		faults = append(faults, errors.New("poll: must be ≥ 1s"))
	}
	return errors.Join(faults...)
}

func TestLoad(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		want []string // parts of the error; none: it loads
	}{
		"whole":          {"listen: :1\npoll: 2s\ntoken: abc\n", nil},
		"default kept":   {"listen: :1\n", nil},
		"empty":          {"", []string{"listen: must be given"}},
		"every fault":    {"poll: 5ms\n", []string{"listen: must be given", "poll: must be ≥ 1s"}},
		"unknown key":    {"listen: :1\nlissten: :2\n", []string{"unknown key lissten"}},
		"two documents":  {"listen: :1\n---\nlisten: :2\n", []string{"more than one"}},
		"bare duration":  {"listen: :1\npoll: soon\n", []string{"line 2: cannot unmarshal !!str into time.Duration"}},
		"not a mapping":  {"- 1\n", []string{"cannot unmarshal"}},
		"broken":         {"listen: [\n", []string{"did not find"}},
		"duplicate keys": {"listen: a\nlisten: b\n", []string{"already defined"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "part.yml")
			if err := os.WriteFile(path, []byte(c.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg := &sample{Poll: time.Minute}
			err := Load(path, cfg)
			if len(c.want) == 0 && err != nil {
				t.Fatalf("got %v, want none", err)
			}
			for _, part := range c.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("got %v, want it to contain %q", err, part)
				}
			}
		})
	}
}

// A secret in the wrong place must not come out in the error.
func TestErrorsHoldNoValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "part.yml")
	if err := os.WriteFile(path, []byte("poll: hunter22\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Load(path, &sample{})
	if err == nil || strings.Contains(err.Error(), "hunter") {
		t.Errorf("got %v, want an error without the value", err)
	}
}

func TestUnder(t *testing.T) {
	if err := Under("director", nil); err != nil {
		t.Errorf("no fault became %v", err)
	}
	inner := errors.Join(errors.New("url: must be given"), Under("tls", errors.New("ca: is no PEM")))
	got, want := Under("director", inner).Error(), "director.url: must be given\ndirector.tls.ca: is no PEM"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
