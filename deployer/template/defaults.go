package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"gopkg.in/yaml.v3"
)

// defaults are an installation's, by attribute.
type defaults map[string]any

func readDefaults(from sources) (defaults, error) {
	content, err := from.read(defaultsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var d defaults
	if err := yaml.Unmarshal(content, &d); err != nil {
		return nil, fmt.Errorf("%s: parse: %w", defaultsFile, err)
	}
	return d, nil
}

// apply replaces the defaults of the attributes that a template declares, and
// makes them part of its digest.
func (d defaults) apply(to *declaration, digest io.Writer) error {
	for i := range to.Attributes {
		a := &to.Attributes[i]
		value, given := d[a.Name]
		if !given {
			continue
		}
		if a.Secret {
			return fmt.Errorf("%s: is a secret and has no default", a.Name)
		}
		if _, err := kind(a.Type).value(value); err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
		a.Default = value
		encoded, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Name, err)
		}
		fmt.Fprintf(digest, "%s %s\n", a.Name, encoded)
	}
	return nil
}

// unused names what no template declares: a slip of the pen.
func (d defaults) unused(all map[string]*compiled) []error {
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(d)) {
		used := false
		for _, c := range all {
			used = used || c.declares(name)
		}
		if !used {
			faults = append(faults, fmt.Errorf("%s: %s: no template declares this attribute", defaultsFile, name))
		}
	}
	return faults
}
