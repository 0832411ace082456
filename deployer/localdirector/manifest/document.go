package manifest

import (
	"encoding/json"
	"fmt"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

// Document is a YAML hash as it was written: nothing is checked but that, and
// ((placeholders)) are still in it. Documents do not change; Replace makes new ones.
type Document struct{ root *hash }

// Read parses the text of a deployment manifest. Its faults are those that the
// director's HTTP API answers at once: broken YAML, not a hash, empty (440001)
// or without a name (40001).
func Read(text []byte) (*Document, error) {
	if len(text) == 0 {
		return nil, faultf(CodeBadManifest, "Manifest should not be empty")
	}
	v, err := psych.Parse(text)
	if err != nil {
		return nil, faultf(CodeBadManifest, "Incorrect YAML structure of the uploaded manifest: #<Psych::SyntaxError: %s>", err)
	}
	root, ok := v.(*hash)
	if !ok {
		return nil, faultf(CodeBadManifest, "Manifest should be a hash")
	}
	if !root.Has("name") {
		return nil, faultf(CodeValidationMissingField, "Deployment manifest must have a 'name' key")
	}
	d := &Document{root: root}
	r := read(root)
	if r.str("name"); r.err != nil {
		return nil, r.err
	}
	return d, nil
}

// ReadConfig parses the text of a config: cloud, runtime or any other. Its
// faults are those of the director's /configs (440011).
func ReadConfig(text []byte) (*Document, error) {
	v, err := psych.Parse(text)
	if err != nil {
		return nil, faultf(CodeBadConfig, "Config must be valid YAML: %s", err)
	}
	root, ok := v.(*hash)
	if !ok {
		return nil, faultf(CodeBadConfig, "YAML hash expected")
	}
	return &Document{root: root}, nil
}

// DocumentOf makes a document of data, its keys sorted.
func DocumentOf(tree map[string]any) *Document { return &Document{root: ordered(tree).(*hash)} }

// Name is that of the deployment; "" for configs.
func (d *Document) Name() string {
	r := read(d.root)
	return r.strOr("name", "")
}

// Tree is the document as data of the caller's own: map[string]any, []any,
// string, int, psych.Float, bool and nil.
func (d *Document) Tree() map[string]any { return plainMap(d.root) }

// YAML renders the document as the director stores and shows configs.
func (d *Document) YAML() []byte { return append([]byte("---\n"), joinLines(yamlLines(d.root))...) }

// Replace returns a copy in which every string, keys included, went through
// replace. It is told whether the string is a key; values that it changes never
// show up in faults. Its first error ends the walk.
func (d *Document) Replace(replace func(text string, key bool) (any, error)) (*Document, error) {
	v, err := replaceStrings(d.root, replace)
	if err != nil {
		return nil, err
	}
	return &Document{root: v.(*hash)}, nil
}

func replaceStrings(v any, replace func(string, bool) (any, error)) (any, error) {
	switch v := v.(type) {
	case *hash:
		out := psych.NewHash(len(v.Keys))
		for _, k := range v.Keys {
			key, err := replaceKey(k, replace)
			if err != nil {
				return nil, err
			}
			value, err := replaceStrings(v.Values[k], replace)
			if err != nil {
				return nil, err
			}
			out.Set(key, value)
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			value, err := replaceStrings(e, replace)
			if err != nil {
				return nil, err
			}
			out[i] = value
		}
		return out, nil
	case string:
		value, err := replace(v, false)
		if err != nil {
			return nil, err
		}
		if s, ok := value.(string); ok && s == v {
			return v, nil
		}
		return seal(ordered(value)), nil
	default:
		return v, nil
	}
}

// seal marks all scalars of a value as interpolated.
func seal(v any) any {
	switch v := v.(type) {
	case *hash:
		out := psych.NewHash(len(v.Keys))
		for _, k := range v.Keys {
			out.Set(k, seal(v.Values[k]))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = seal(e)
		}
		return out
	default:
		return interpolated{v}
	}
}

func replaceKey(k string, replace func(string, bool) (any, error)) (string, error) {
	value, err := replace(k, true)
	if err != nil {
		return "", err
	}
	s, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("replace key '%s': the value is no string", k)
	}
	return s, nil
}

// ordered brings data from outside (a variable's value) into our form.
func ordered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := psych.NewHash(len(v))
		for _, k := range sortedKeys(v) {
			out.Set(k, ordered(v[k]))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = ordered(e)
		}
		return out
	case float64:
		if v == float64(int(v)) {
			return int(v)
		}
		return psych.Float(v)
	case json.Number:
		return psych.Scalar(v.String())
	case int64:
		return int(v)
	default:
		return v
	}
}
