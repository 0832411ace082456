package template

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"path"
	"strings"

	boshtemplate "github.com/cloudfoundry/bosh-cli/v7/director/template"
	"github.com/cppforlife/go-patch/patch"
	yamlv2 "gopkg.in/yaml.v2"

	"github.com/holdfast-osb/holdfast/deployer"
)

// The names of what makes a template's directory.
const (
	declarationFile = "template.yml"
	// extraOps holds ops files that need no declaration: an operator changes a
	// shipped template by adding one here. They apply last, by name.
	extraOps = "ops.d"
	// defaultsFile, beside the templates' directories, holds an installation's
	// defaults for attributes of all templates: zones, network, stemcell.
	defaultsFile = "defaults.yml"
)

// compiled is a template that was loaded and found good.
type compiled struct {
	name        string
	declaration declaration
	digest      string
	manifest    boshtemplate.Template
	ops         patch.Ops
	passed      []string // placeholders left to the director
}

func (c *compiled) public() deployer.Template {
	t := deployer.Template{Name: c.name, Description: c.declaration.Description, Digest: c.digest, Attributes: []deployer.Attribute{}}
	for _, a := range c.declaration.Attributes {
		t.Attributes = append(t.Attributes, a.public())
	}
	return t
}

// loader reads one template's files and sums them up as it goes.
type loader struct {
	from   sources
	digest hash.Hash
}

func (l loader) read(name string) ([]byte, error) {
	content, err := l.from.read(name)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(l.digest, "%s %d\n", name, len(content))
	l.digest.Write(content)
	return content, nil
}

// loadAll compiles every directory that holds a declaration.
func loadAll(from sources) (map[string]*compiled, error) {
	directories, err := from.list(".")
	if err != nil {
		return nil, err
	}
	defaults, err := readDefaults(from)
	if err != nil {
		return nil, err
	}
	all := map[string]*compiled{}
	var faults []error
	for _, directory := range directories {
		files, err := from.list(directory)
		if err != nil {
			continue // a plain file
		}
		for _, f := range files {
			if f != declarationFile {
				continue
			}
			c, err := load(from, directory, defaults)
			if err != nil {
				faults = append(faults, fmt.Errorf("template %s: %w", directory, err))
				continue
			}
			all[c.name] = c
		}
	}
	if len(all) == 0 && len(faults) == 0 {
		faults = append(faults, errors.New("there are no templates"))
	}
	if len(faults) == 0 {
		faults = defaults.unused(all)
	}
	return all, errors.Join(faults...)
}

func load(from sources, directory string, defaults defaults) (*compiled, error) {
	if err := deployer.CheckTemplateName(directory); err != nil {
		return nil, errors.New("the directory's name is not allowed for a template")
	}
	l := loader{from: from, digest: sha256.New()}
	content, err := l.read(path.Join(directory, declarationFile))
	if err != nil {
		return nil, err
	}
	d, err := parseDeclaration(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", declarationFile, err)
	}
	if err := defaults.apply(&d, l.digest); err != nil {
		return nil, fmt.Errorf("%s: %w", defaultsFile, err)
	}
	manifestPath, err := resolve(directory, d.Manifest)
	if err != nil {
		return nil, fmt.Errorf("%s: manifest: %w", declarationFile, err)
	}
	manifest, err := l.read(manifestPath)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	ops, err := l.ops(directory, d.Ops)
	if err != nil {
		return nil, err
	}
	c := &compiled{name: directory, declaration: d, digest: "sha256:" + hex.EncodeToString(l.digest.Sum(nil)),
		manifest: boshtemplate.NewTemplate(manifest), ops: ops}
	return c, c.check(manifest)
}

// ops reads the declared ops files, then those of extraOps.
func (l loader) ops(directory string, declared []string) (patch.Ops, error) {
	extra, err := l.from.list(path.Join(directory, extraOps))
	if err != nil {
		return nil, err
	}
	files := declared
	for _, name := range extra {
		if strings.HasSuffix(name, ".yml") {
			files = append(files[:len(files):len(files)], path.Join(extraOps, name))
		}
	}
	var ops patch.Ops
	for _, file := range files {
		name, err := resolve(directory, file)
		if err != nil {
			return nil, fmt.Errorf("%s: ops: %w", declarationFile, err)
		}
		content, err := l.read(name)
		if err != nil {
			return nil, fmt.Errorf("ops: %w", err)
		}
		var definitions []patch.OpDefinition
		if err := yamlv2.Unmarshal(content, &definitions); err != nil {
			return nil, fmt.Errorf("%s: parse: %w", name, err)
		}
		more, err := patch.NewOpsFromDefinitions(definitions)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		ops = append(ops, more...)
	}
	return ops, nil
}

// check applies the ops, compares placeholders with the declaration and tries
// the template out with a value of each type.
func (c *compiled) check(manifest []byte) error {
	var document any
	if err := yamlv2.Unmarshal(manifest, &document); err != nil {
		return fmt.Errorf("manifest: parse: %w", err)
	}
	document, err := c.ops.Apply(document)
	if err != nil {
		return fmt.Errorf("apply ops: %w", err)
	}
	if err := checkManifest(document); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if c.passed, err = checkPlaceholders(document, c.declaration.Attributes); err != nil {
		return err
	}
	if err := c.checkDefaults(); err != nil {
		return fmt.Errorf("%s: %w", declarationFile, err)
	}
	if hasPaths(document, c.declaration.Attributes) {
		return nil // a sample map has not the keys that the manifest wants
	}
	values := map[string]any{nameAttribute: "sample"}
	for _, a := range c.declaration.Attributes {
		values[a.Name] = kind(a.Type).sample()
	}
	if _, err := c.render(values, nil); err != nil {
		return fmt.Errorf("try with sample values: %w", err)
	}
	return nil
}

// checkDefaults lets a director's placeholder be a default, but not one of
// ours: values are not rendered again.
func (c *compiled) checkDefaults() error {
	for _, a := range c.declaration.Attributes {
		if a.Default == nil {
			continue
		}
		value, err := kind(a.Type).value(a.Default)
		if err != nil {
			return fmt.Errorf("attributes.%s.default: %w", a.Name, err)
		}
		for _, p := range placeholders(value) {
			if p.name == nameAttribute || c.declares(p.name) {
				return fmt.Errorf("attributes.%s.default: ((%s)) is an attribute, and defaults are not rendered", a.Name, p.name)
			}
		}
	}
	return nil
}

func (c *compiled) declares(name string) bool {
	for _, a := range c.declaration.Attributes {
		if a.Name == name {
			return true
		}
	}
	return false
}

func hasPaths(document any, attributes []attributeDeclaration) bool {
	for _, p := range placeholders(document) {
		for _, a := range attributes {
			if p.path && p.name == a.Name {
				return true
			}
		}
	}
	return false
}

// checkManifest refuses what we set ourselves and what is no manifest.
func checkManifest(document any) error {
	m, ok := document.(map[any]any)
	if !ok {
		return errors.New("must be a map")
	}
	if name, given := m["name"]; given && name != "(("+nameAttribute+"))" {
		return fmt.Errorf("name: must be absent or ((%s)): the caller names the deployment", nameAttribute)
	}
	if _, ok := m["instance_groups"].([]any); !ok {
		return errors.New("instance_groups: must be a list")
	}
	if given, present := m["tags"]; present {
		if _, ok := given.(map[any]any); !ok {
			return errors.New("tags: must be a map")
		}
		if _, taken := given.(map[any]any)[deployer.TagKey]; taken {
			return fmt.Errorf("tags.%s: is set by the deployer", deployer.TagKey)
		}
	}
	return nil
}
