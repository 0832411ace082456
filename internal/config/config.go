// Package config reads a part's YAML file: one file a part, defaults in code,
// unknown keys refused, every fault reported at once.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"gopkg.in/yaml.v3"
)

// Validator is a configuration that can check itself. Its error joins every
// fault, each with its dotted key: "deployer.poll_interval: must be ≥ 1s, got 5ns".
type Validator interface {
	Validate() error
}

// Load reads the file at path into cfg, which holds the defaults, and
// validates it.
func Load(path string, cfg Validator) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(cfg); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("configuration %s: %s", path, withoutValues(err))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("configuration %s: more than one YAML document", path)
	}
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("configuration %s:\n%w", path, err)
	}
	return nil
}

var (
	valuePattern   = regexp.MustCompile(" `[^`]*`")
	unknownPattern = regexp.MustCompile(`field (\S+) not found in type \S+`)
)

// withoutValues is what is wrong with a YAML document, without the values: a
// secret may stand in the wrong place.
func withoutValues(err error) string {
	text := unknownPattern.ReplaceAllString(err.Error(), "unknown key $1")
	return valuePattern.ReplaceAllString(text, "")
}

// Under names the section of a section's own faults: "url: must be given"
// becomes "director.url: must be given". No fault stays none.
func Under(section string, err error) error {
	if err == nil {
		return nil
	}
	joined, several := err.(interface{ Unwrap() []error })
	if !several {
		return fmt.Errorf("%s.%w", section, err)
	}
	var faults []error
	for _, fault := range joined.Unwrap() {
		faults = append(faults, Under(section, fault))
	}
	return errors.Join(faults...)
}
