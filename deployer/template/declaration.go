package template

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/holdfast-osb/holdfast/deployer"
)

// nameAttribute is the placeholder that every template may use without
// declaring it.
const nameAttribute = "deployment_name"

var attributePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// declaration is the contents of template.yml.
type declaration struct {
	Description string                 `yaml:"description"`
	Manifest    string                 `yaml:"manifest"` // relative to the template's directory; default manifest.yml
	Ops         []string               `yaml:"ops"`      // applied in this order
	Attributes  []attributeDeclaration `yaml:"attributes"`
}

type attributeDeclaration struct {
	Name        string `yaml:"name"`
	Type        string `yaml:"type"`
	Description string `yaml:"description"`
	Secret      bool   `yaml:"secret"`
	Default     any    `yaml:"default"` // absent: required
}

func parseDeclaration(content []byte) (declaration, error) {
	d := declaration{Manifest: "manifest.yml"}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); err != nil {
		return declaration{}, fmt.Errorf("parse: %w", err)
	}
	return d, d.check()
}

func (d declaration) check() error {
	var faults []error
	if d.Description == "" {
		faults = append(faults, errors.New("description: must be given"))
	}
	seen := map[string]bool{nameAttribute: true}
	for i, a := range d.Attributes {
		where := fmt.Sprintf("attributes[%d]", i)
		if attributePattern.MatchString(a.Name) {
			where = "attributes." + a.Name
		} else {
			faults = append(faults, fmt.Errorf("%s.name: %q must match %s", where, a.Name, attributePattern))
		}
		if seen[a.Name] {
			faults = append(faults, fmt.Errorf("%s: is declared twice or is built in", where))
		}
		seen[a.Name] = true
		faults = append(faults, a.check(where)...)
	}
	return errors.Join(faults...)
}

func (a attributeDeclaration) check(where string) []error {
	var faults []error
	if a.Description == "" {
		faults = append(faults, fmt.Errorf("%s.description: must be given", where))
	}
	if !slices.Contains(kinds, kind(a.Type)) {
		return append(faults, fmt.Errorf("%s.type: %q is none of %v", where, a.Type, kinds))
	}
	if a.Secret && kind(a.Type) != kindString {
		faults = append(faults, fmt.Errorf("%s.type: a secret is a string", where))
	}
	if a.Secret && a.Default != nil {
		faults = append(faults, fmt.Errorf("%s.default: a secret has none", where))
	}
	if a.Default != nil {
		if _, err := kind(a.Type).value(a.Default); err != nil {
			faults = append(faults, fmt.Errorf("%s.default: %w", where, err))
		}
	}
	return faults
}

func (a attributeDeclaration) public() deployer.Attribute {
	return deployer.Attribute{Name: a.Name, Type: a.Type, Description: a.Description, Secret: a.Secret, Default: a.Default}
}
