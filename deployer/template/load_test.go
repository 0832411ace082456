package template_test

import (
	"strings"
	"testing"
)

func TestBadTemplatesAreNotLoaded(t *testing.T) {
	attribute := func(fields string) string { return "description: d\nattributes: [{" + fields + "}]\n" }
	good := attribute("name: a, type: string, description: d")
	uses := minimal + "x: ((a))\n"
	for name, c := range map[string]struct {
		declaration, manifest, want string
	}{
		"unknown key":              {"description: d\nattribute: []\n", minimal, "attribute"},
		"no description":           {"manifest: manifest.yml\n", minimal, "description: must be given"},
		"attribute's name":         {attribute("name: A-b, type: string, description: d"), minimal, `attributes[0].name: "A-b" must match`},
		"attribute twice":          {"description: d\nattributes: [{name: a, type: string, description: d}, {name: a, type: string, description: d}]\n", uses, "attributes.a: is declared twice"},
		"built-in name":            {attribute("name: deployment_name, type: string, description: d"), minimal, "attributes.deployment_name: is declared twice or is built in"},
		"attribute's type":         {attribute("name: a, type: text, description: d"), uses, `attributes.a.type: "text" is none of`},
		"no attribute description": {attribute("name: a, type: string"), uses, "attributes.a.description: must be given"},
		"default's type":           {attribute("name: a, type: integer, description: d, default: x"), uses, "attributes.a.default: must be of type integer"},
		"fraction as integer":      {attribute("name: a, type: integer, description: d, default: 1.5"), uses, "attributes.a.default: must be of type integer"},
		"default of a secret":      {attribute("name: a, type: string, description: d, secret: true, default: x"), uses, "attributes.a.default: a secret has none"},
		"secret list":              {attribute("name: a, type: list, description: d, secret: true"), uses, "attributes.a.type: a secret is a string"},
		"default is an attribute":  {attribute("name: a, type: string, description: d, default: ((deployment_name))"), uses, "((deployment_name)) is an attribute, and defaults are not rendered"},
		"unused attribute":         {good, minimal, "attributes.a: is declared but the manifest does not use it"},
		"list inside a string":     {attribute("name: a, type: list, description: d"), minimal + "x: y((a))\n", "a list cannot stand inside a string"},
		"boolean as a key":         {attribute("name: a, type: boolean, description: d"), minimal + "((a)): 1\n", "a boolean cannot stand inside a string or be a key"},
		"spaces inside a string":   {good, minimal + "x: y(( a ))\n", "write ((a)) inside a string"},
		"path into a string":       {good, minimal + "x: ((a.b))\n", "the attribute is a string, not a map"},
		"name set":                 {good, uses + "name: mine\n", "name: must be absent or ((deployment_name))"},
		"our tag":                  {good, uses + "tags: {holdfast: x}\n", "tags.holdfast: is set by the deployer"},
		"tags as a list":           {good, uses + "tags: [x]\n", "tags: must be a map"},
		"no instance groups":       {good, "x: ((a))\n", "instance_groups: must be a list"},
		"manifest is a list":       {good, "- ((a))\n", "must be a map"},
		"broken manifest":          {good, "a: [\n", "manifest: parse"},
		"manifest elsewhere":       {"description: d\nmanifest: ../../etc/passwd\n", minimal, "outside of the templates"},
		"absolute manifest":        {"description: d\nmanifest: /etc/passwd\n", minimal, "outside of the templates"},
		"no such manifest":         {"description: d\nmanifest: other.yml\n", minimal, "sample/other.yml: file does not exist"},
		"no such ops file":         {"description: d\nops: [other.yml]\n", minimal, "ops: sample/other.yml"},
		"ops that fit nowhere":     {"description: d\nops: [bad.yml]\n", minimal, "apply ops"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := try(map[string]string{"sample/template.yml": c.declaration, "sample/manifest.yml": c.manifest,
				"sample/bad.yml": "- {type: replace, path: /nothing/here, value: 1}\n"})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "template sample") {
				t.Errorf("got %v\nwant %q", err, c.want)
			}
		})
	}
}

func TestEveryFaultIsToldAtOnce(t *testing.T) {
	_, err := try(map[string]string{"one/template.yml": "x: 1\n", "two/template.yml": "description: d\n"})
	for _, want := range []string{"template one", "template two"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if _, err := try(map[string]string{"README.md": "x"}); err == nil || !strings.Contains(err.Error(), "there are no templates") {
		t.Errorf("without templates: got %v", err)
	}
	if _, err := try(map[string]string{"Bad_Name/template.yml": "description: d\n"}); err == nil || !strings.Contains(err.Error(), "name is not allowed") {
		t.Errorf("bad name: got %v", err)
	}
}
