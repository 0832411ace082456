package template

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// plainPattern are strings that every YAML parser reads as strings without
// quotes, besides the words that yaml.v3 quotes itself. The director's parser
// is Ruby's: to it, 1,000 is a number and :x a symbol.
var plainPattern = regexp.MustCompile(`^[A-Za-z_/(][A-Za-z0-9_./()@-]*$`)

// finish sets name and tags of a rendered manifest and quotes every string
// that another YAML parser could take for something else.
func finish(manifest []byte, name string, tags map[string]string) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(manifest, &document); err != nil {
		return nil, fmt.Errorf("parse the rendered manifest: %w", err)
	}
	if document.Kind != yaml.DocumentNode || document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("the rendered manifest is not a map")
	}
	root := document.Content[0]
	removeKey(root, "name")
	root.Content = append([]*yaml.Node{text("name"), text(name)}, root.Content...)
	if len(tags) > 0 {
		setTags(root, tags)
	}
	quote(root)
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&document); err != nil {
		return nil, fmt.Errorf("write the rendered manifest: %w", err)
	}
	return []byte(out.String()), nil
}

func text(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

func setTags(root *yaml.Node, tags map[string]string) {
	node := lookup(root, "tags")
	if node == nil {
		node = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		root.Content = append(root.Content, text("tags"), node)
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		removeKey(node, key)
		node.Content = append(node.Content, text(key), text(tags[key]))
	}
}

func lookup(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func removeKey(mapping *yaml.Node, key string) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			return
		}
	}
}

func quote(node *yaml.Node) {
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!merge" {
		node.Tag = "!!str" // the engine has resolved merge keys: this is text
	}
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!str" && node.Style != yaml.LiteralStyle &&
		!plainPattern.MatchString(node.Value) {
		node.Style = yaml.DoubleQuotedStyle
	}
	for _, child := range node.Content {
		quote(child)
	}
}
