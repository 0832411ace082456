package release

import (
	"encoding/json"

	"gopkg.in/yaml.v3"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

// jobSpec is a job.MF. What is checked by hand with the director's words is left as a node.
type jobSpec struct {
	Name       string            `yaml:"name"`
	Templates  map[string]string `yaml:"templates"`
	Packages   []string          `yaml:"packages"`
	Properties yaml.Node         `yaml:"properties"`
	Provides   yaml.Node         `yaml:"provides"`
	Consumes   yaml.Node         `yaml:"consumes"`
}

// readJobSpec completes j by the text of its job.MF.
func readJobSpec(text []byte, j *Job) error {
	var spec jobSpec
	if err := yaml.Unmarshal(text, &spec); err != nil {
		return faultf(CodeJobInvalidArchive, "Job manifest of '%s' is not valid: %s", j.Name, err)
	}
	if spec.Name != j.Name {
		return faultf(CodeJobInvalidArchive, "Inconsistent name for job '%s' (expected: '%s', got: '%s')", j.Name, j.Name, spec.Name)
	}
	j.Templates, j.Packages = spec.Templates, spec.Packages
	if j.Templates == nil {
		j.Templates = map[string]string{}
	}
	if err := j.readProperties(&spec.Properties); err != nil {
		return err
	}
	if err := j.readProvides(&spec.Provides); err != nil {
		return err
	}
	return j.readConsumes(&spec.Consumes)
}

func (j *Job) readProperties(n *yaml.Node) error {
	j.Properties = map[string]Property{}
	tree, err := plain(n)
	if err != nil {
		return faultf(CodeJobInvalidPropertySpec, "Job '%s' has invalid properties spec format: %s", j.Name, err)
	}
	if tree == nil {
		return nil
	}
	declared, ok := tree.(map[string]any)
	if !ok {
		return faultf(CodeJobInvalidPropertySpec, "Job '%s' has invalid properties spec format", j.Name)
	}
	for name, raw := range declared {
		definition, ok := raw.(map[string]any)
		if !ok && raw != nil {
			return faultf(CodeJobInvalidPropertySpec, "Job '%s' has invalid properties spec format: property '%s' must be a hash", j.Name, name)
		}
		p := Property{Default: definition["default"], Example: definition["example"]}
		p.Description, _ = definition["description"].(string)
		p.Type, _ = definition["type"].(string)
		j.Properties[name] = p
	}
	return nil
}

func (j *Job) readProvides(n *yaml.Node) error {
	entries, err := j.links(n, "provides")
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, e := range entries {
		link := ProvidedLink{}
		if link.Name, link.Type, err = linkNameAndType(e, "provides"); err != nil {
			return err
		}
		if _, ok := e["optional"]; ok {
			return faultf(CodeJobInvalidLinkSpec, "Link '%s' of type '%s' is a provides link, not allowed to have 'optional' key", link.Name, link.Type)
		}
		if seen[link.Name] {
			return faultf(CodeJobDuplicateLinkName, "Job '%s' specifies duplicate provides link with name '%s'", j.Name, link.Name)
		}
		seen[link.Name] = true
		if link.Properties, err = j.linkProperties(e, link.Name); err != nil {
			return err
		}
		j.Provides = append(j.Provides, link)
	}
	return nil
}

func (j *Job) linkProperties(entry map[string]any, link string) ([]string, error) {
	raw, ok := entry["properties"]
	if !ok || raw == nil {
		return nil, nil
	}
	list, ok := raw.([]any)
	if !ok {
		return nil, faultf(CodeJobInvalidLinkSpec, "Properties of link '%s' in job '%s' must be a list of names", link, j.Name)
	}
	var names []string
	for _, item := range list {
		name, ok := item.(string)
		if !ok {
			return nil, faultf(CodeJobInvalidLinkSpec, "Properties of link '%s' in job '%s' must be a list of names", link, j.Name)
		}
		names = append(names, name)
	}
	return names, nil
}

func (j *Job) readConsumes(n *yaml.Node) error {
	entries, err := j.links(n, "consumes")
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, e := range entries {
		link := ConsumedLink{}
		if link.Name, link.Type, err = linkNameAndType(e, "consumes"); err != nil {
			return err
		}
		if seen[link.Name] {
			return faultf(CodeJobDuplicateLinkName, "Job '%s' specifies duplicate consumes link with name '%s'", j.Name, link.Name)
		}
		seen[link.Name] = true
		link.Optional, _ = e["optional"].(bool)
		j.Consumes = append(j.Consumes, link)
	}
	return nil
}

func (j *Job) links(n *yaml.Node, section string) ([]map[string]any, error) {
	tree, err := plain(n)
	if err != nil {
		return nil, faultf(CodeJobInvalidLinkSpec, "Job '%s' has invalid spec format: %s", j.Name, err)
	}
	if tree == nil {
		return nil, nil
	}
	list, ok := tree.([]any)
	if !ok {
		return nil, faultf(CodeJobInvalidLinkSpec, "Job '%s' has invalid spec format: '%s' must be an array of hashes with name and type", j.Name, section)
	}
	entries := make([]map[string]any, len(list))
	for i, item := range list {
		if entries[i], ok = item.(map[string]any); !ok {
			return nil, faultf(CodeJobInvalidLinkSpec, "%s section in the release spec must be a list of hashes", capitalized[section])
		}
	}
	return entries, nil
}

var capitalized = map[string]string{"provides": "Provides", "consumes": "Consumes"}

func linkNameAndType(entry map[string]any, section string) (name, kind string, err error) {
	name, okName := entry["name"].(string)
	kind, okKind := entry["type"].(string)
	if !okName || !okKind || name == "" || kind == "" {
		return "", "", faultf(CodeJobInvalidLinkSpec, "Each %s item in the %s section of the release spec must contain 'name' and 'type'", section, section)
	}
	return name, kind, nil
}

// plain is what a node holds: map[string]any, []any, string, int, psych.Float,
// bool and nil. JSON must have a word for all of it.
func plain(n *yaml.Node) (any, error) {
	tree, err := psych.Decode(n)
	if err != nil {
		return nil, err
	}
	data := psych.Plain(tree, func(v any) any { return v })
	_, err = json.Marshal(data)
	return data, err
}
