package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"gopkg.in/yaml.v3"
)

// yamlBudget bounds how many values a document may unfold to: aliases can
// make a short text very large, or endless.
const yamlBudget = 200_000

var (
	// Ruby reads YAML 1.1, in which these plain words are truth values.
	rubyTrue  = regexp.MustCompile(`^(?i:yes|on)$`)
	rubyFalse = regexp.MustCompile(`^(?i:no|off)$`)
	// What JSON also takes as a number.
	jsonFloat = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
)

// valueOf turns YAML into plain data as the director's Ruby would read it:
// map[string]any, []any, string, bool, int, json.Number and nil. A number
// with a fraction is a json.Number, so that 1.0 does not become 1 on its way
// through JSON into a template.
func valueOf(n *yaml.Node) (any, error) {
	budget := yamlBudget
	return (&yamlReader{left: &budget}).value(n, 0)
}

type yamlReader struct{ left *int }

func (r *yamlReader) value(n *yaml.Node, depth int) (any, error) {
	if *r.left--; *r.left < 0 || depth > 200 {
		return nil, errors.New("too large, or an alias within itself")
	}
	switch n.Kind {
	case 0:
		return nil, nil
	case yaml.DocumentNode:
		return r.value(n.Content[0], depth+1)
	case yaml.AliasNode:
		return r.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			v, err := r.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		return m, r.mapping(n, m, depth)
	default:
		return scalar(n)
	}
}

func (r *yamlReader) mapping(n *yaml.Node, into map[string]any, depth int) error {
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, item := n.Content[i], n.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merges = append(merges, item)
			continue
		}
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: a key must be a plain value", key.Line)
		}
		v, err := r.value(item, depth+1)
		if err != nil {
			return err
		}
		into[key.Value] = v
	}
	for _, item := range merges {
		if err := r.merge(item, into, depth); err != nil {
			return err
		}
	}
	return nil
}

// merge adds what `<<` refers to, which never overrides a key of the mapping itself.
func (r *yamlReader) merge(n *yaml.Node, into map[string]any, depth int) error {
	v, err := r.value(n, depth+1)
	if err != nil {
		return err
	}
	sources, ok := v.([]any)
	if !ok {
		sources = []any{v}
	}
	for _, source := range sources {
		m, ok := source.(map[string]any)
		if !ok {
			return fmt.Errorf("line %d: only a hash can be merged", n.Line)
		}
		for k, v := range m {
			if _, taken := into[k]; !taken {
				into[k] = v
			}
		}
	}
	return nil
}

func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool", "!!int", "!!binary":
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, err
		}
		return v, nil
	case "!!float":
		if jsonFloat.MatchString(n.Value) {
			return json.Number(n.Value), nil
		}
		var v float64
		if err := n.Decode(&v); err != nil {
			return nil, err
		}
		if _, err := json.Marshal(v); err != nil {
			return nil, fmt.Errorf("line %d: %s is not a number that can be used", n.Line, n.Value)
		}
		return v, nil
	}
	if n.Style == 0 && rubyTrue.MatchString(n.Value) {
		return true, nil
	}
	if n.Style == 0 && rubyFalse.MatchString(n.Value) {
		return false, nil
	}
	return n.Value, nil // strings, and dates as they were written
}
