package psych

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxNodes bounds what aliases may expand to, so that a text of a few hundred
// bytes cannot fill the director's memory.
const maxNodes = 200_000

// maxDepth bounds nesting: what is read must come through JSON again, which has
// a bound of its own.
const maxDepth = 200

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// Parse reads the first document of a text. A document is *Hash, []any or what
// Scalar returns. Errors are worded as the library does.
func Parse(text []byte) (any, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, errors.New(message(err))
	}
	return Decode(&root)
}

// Decode reads a part of a document as Parse does the whole.
func Decode(n *yaml.Node) (any, error) {
	return (&decoder{active: map[*yaml.Node]bool{}}).value(n)
}

// message words a syntax fault as the library does, as far as it is known: our
// parser tells no column.
func message(err error) string {
	parts := yamlLine.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " "))
	if parts == nil {
		return "(<unknown>): " + err.Error()
	}
	if parts[1] == "" {
		return "(<unknown>): " + parts[2]
	}
	return fmt.Sprintf("(<unknown>): %s at line %s", parts[2], parts[1])
}

type decoder struct {
	nodes  int
	depth  int
	active map[*yaml.Node]bool // aliases being expanded
}

func (d *decoder) value(n *yaml.Node) (any, error) {
	if d.nodes++; d.nodes > maxNodes {
		return nil, fmt.Errorf("(<unknown>): document expands to more than %d nodes", maxNodes)
	}
	if d.depth++; d.depth > maxDepth {
		return nil, fmt.Errorf("(<unknown>): document is nested deeper than %d at line %d", maxDepth, n.Line)
	}
	defer func() { d.depth-- }()
	switch n.Kind {
	case 0:
		return nil, nil // an empty text
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil, nil
		}
		return d.value(n.Content[0])
	case yaml.AliasNode:
		return d.alias(n)
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := d.value(c)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.MappingNode:
		return d.mapping(n)
	default:
		return scalar(n), nil
	}
}

func (d *decoder) alias(n *yaml.Node) (any, error) {
	if d.active[n.Alias] {
		return nil, fmt.Errorf("(<unknown>): anchor '%s' contains itself at line %d", n.Value, n.Line)
	}
	d.active[n.Alias] = true
	defer delete(d.active, n.Alias)
	return d.value(n.Alias)
}

func (d *decoder) mapping(n *yaml.Node) (any, error) {
	out := NewHash(len(n.Content) / 2)
	var merges []*Hash
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		v, err := d.value(value)
		if err != nil {
			return nil, err
		}
		if key.ShortTag() == "!!merge" {
			found, err := hashesOf(v, value.Line)
			if err != nil {
				return nil, err
			}
			merges = append(merges, found...)
			continue
		}
		k, err := d.value(key)
		if err != nil {
			return nil, err
		}
		text, err := keyText(k, key.Line)
		if err != nil {
			return nil, err
		}
		out.Set(text, v)
	}
	for _, m := range merges { // keys written out win over merged ones
		for _, k := range m.Keys {
			if !out.Has(k) {
				out.Set(k, m.Values[k])
			}
		}
	}
	return out, nil
}

// hashesOf returns what `<<` refers to: a hash, or a list of them.
func hashesOf(v any, line int) ([]*Hash, error) {
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	hashes := make([]*Hash, len(list))
	for i, e := range list {
		h, ok := e.(*Hash)
		if !ok {
			return nil, fmt.Errorf("(<unknown>): only a hash can be merged at line %d", line)
		}
		hashes[i] = h
	}
	return hashes, nil
}

// keyText is a key as a string: everything that reads our trees, JSON first,
// has strings for keys.
func keyText(k any, line int) (string, error) {
	switch k := k.(type) {
	case nil:
		return "", nil
	case string:
		return k, nil
	case *Hash, []any:
		return "", fmt.Errorf("(<unknown>): a key must be a plain value at line %d", line)
	default:
		return fmt.Sprint(k), nil
	}
}

func scalar(n *yaml.Node) any {
	if n.Tag == "!!binary" {
		if raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), "")); err == nil {
			return string(raw)
		}
		return n.Value
	}
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return n.Value
	}
	if n.Style&yaml.TaggedStyle != 0 && n.Tag != "!!int" && n.Tag != "!!float" && n.Tag != "!!bool" && n.Tag != "!!null" {
		return n.Value
	}
	return Scalar(n.Value)
}
