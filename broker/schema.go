package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/holdfast-osb/holdfast/internal/fault"
)

// schema checks the parameters of one verb on one plan.
type schema struct {
	compiled *jsonschema.Schema
	object   map[string]any // for the catalog
}

func compileSchema(raw json.RawMessage) (*schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{})
	compiler.AssertFormat()
	const here = "urn:holdfast:schema"
	if err := compiler.AddResource(here, doc); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(here)
	if err != nil {
		return nil, err
	}
	return &schema{compiled: compiled, object: object}, nil
}

// noLoader lets a schema refer to itself, but to no file and no address.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("the schema refers to %s, which is outside of it", url)
}

// check validates parameters; absent ones are validated as {}. The fault names
// the field and says what is wrong with it, without its value: parameters may
// hold secrets.
func (s *schema) check(raw json.RawMessage) error {
	object, err := parseObject("parameters", raw)
	if err != nil {
		return err
	}
	if object == nil {
		object = map[string]any{}
	}
	err = s.compiled.Validate(object)
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		return explainInvalid(invalid)
	}
	return err
}

// explainInvalid picks the deepest cause: the most telling one.
func explainInvalid(e *jsonschema.ValidationError) error {
	leaf := deepest(e)
	field := append([]string{"parameters"}, leaf.InstanceLocation...)
	path := func(more ...string) string { return strings.Join(append(field, more...), ".") }
	switch k := leaf.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		sort.Strings(k.Properties)
		return fault.InvalidField(path(k.Properties[0]), "is not a parameter of this plan")
	case *kind.FalseSchema:
		return fault.InvalidField(path(), "is not allowed here")
	case *kind.Required:
		sort.Strings(k.Missing)
		return fault.InvalidField(path(k.Missing[0]), "is missing")
	case *kind.Type:
		return fault.InvalidField(path(), "must be of type %s, got %s", strings.Join(k.Want, " or "), k.Got)
	case *kind.Enum:
		return fault.InvalidField(path(), "must be one of %s", values(k.Want))
	case *kind.Const:
		return fault.InvalidField(path(), "must be %s", values([]any{k.Want}))
	case *kind.Pattern:
		return fault.InvalidField(path(), "must match the pattern %s", k.Want)
	case *kind.Format:
		return fault.InvalidField(path(), "must have the format %s", k.Want)
	case *kind.Minimum, *kind.Maximum, *kind.ExclusiveMinimum, *kind.ExclusiveMaximum, *kind.MultipleOf, *kind.MinLength, *kind.MaxLength,
		*kind.MinItems, *kind.MaxItems, *kind.MinProperties, *kind.MaxProperties:
		// These tell the bound and the number or length that was given.
		return fault.InvalidField(path(), "%s", leaf.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
	default:
		return fault.InvalidField(path(), "is not what the plan's schema allows")
	}
}

func deepest(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	for len(e.Causes) > 0 {
		best := e.Causes[0]
		for _, c := range e.Causes[1:] {
			if depth(c) > depth(best) {
				best = c
			}
		}
		e = best
	}
	return e
}

// depth ranks causes: the further down in the parameters the better, and an
// unknown name before all, since it often explains a missing one.
func depth(e *jsonschema.ValidationError) int {
	d := 2 * len(e.InstanceLocation)
	for _, c := range e.Causes {
		d = max(d, depth(c))
	}
	if _, unknown := e.ErrorKind.(*kind.AdditionalProperties); unknown {
		d++
	}
	return d
}

func values(all []any) string {
	texts := make([]string, len(all))
	for i, v := range all {
		encoded, err := json.Marshal(v)
		if err != nil {
			encoded = []byte("?")
		}
		texts[i] = string(encoded)
	}
	return strings.Join(texts, ", ")
}
