package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// kind is the type of an attribute.
type kind string

const (
	kindString  kind = "string"
	kindInteger kind = "integer"
	kindNumber  kind = "number"
	kindBoolean kind = "boolean"
	kindList    kind = "list"
	kindMap     kind = "map"
)

var kinds = []kind{kindString, kindInteger, kindNumber, kindBoolean, kindList, kindMap}

// maxExact bounds integers: beyond it JSON numbers are no longer exact.
const maxExact = 1 << 53

// inline tells whether a value may stand inside a longer string.
func (k kind) inline() bool { return k == kindString || k == kindInteger }

// sample is any value of the kind, for trying a template out.
func (k kind) sample() any {
	return map[kind]any{kindString: "sample", kindInteger: 1, kindNumber: 0.5, kindBoolean: true,
		kindList: []any{"sample"}, kindMap: map[any]any{"sample": "sample"}}[k]
}

// value copies v, which came from JSON or YAML, into what the template engine
// works on, or says why it is no value of this kind. It never quotes v: it
// may be what must not be shown.
func (k kind) value(v any) (any, error) {
	var ok bool
	converted, err := engineValue(v)
	if err != nil {
		return nil, err
	}
	switch k {
	case kindString:
		_, ok = converted.(string)
	case kindInteger:
		_, ok = converted.(int64)
	case kindNumber:
		_, isFloat := converted.(float64)
		_, isInt := converted.(int64)
		ok = isFloat || isInt
	case kindBoolean:
		_, ok = converted.(bool)
	case kindList:
		_, ok = converted.([]any)
	case kindMap:
		_, ok = converted.(map[any]any)
	}
	if !ok {
		return nil, fmt.Errorf("must be of type %s", k)
	}
	return converted, nil
}

// engineValue makes a deep copy in the types of the engine (yaml.v2's).
func engineValue(v any) (any, error) {
	switch v := v.(type) {
	case string, bool:
		return v, nil
	case int:
		return engineNumber(float64(v))
	case int64:
		return engineNumber(float64(v))
	case uint64:
		return engineNumber(float64(v))
	case float64:
		return engineNumber(v)
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return nil, errors.New("is no number")
		}
		return engineNumber(f)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			var err error
			if list[i], err = engineValue(item); err != nil {
				return nil, err
			}
		}
		return list, nil
	case []string:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = item
		}
		return list, nil
	case map[string]any:
		m := make(map[any]any, len(v))
		for key, item := range v {
			converted, err := engineValue(item)
			if err != nil {
				return nil, err
			}
			m[key] = converted
		}
		return m, nil
	case nil:
		return nil, errors.New("must not be null")
	}
	return nil, errors.New("holds a value that JSON does not have")
}

func engineNumber(f float64) (any, error) {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0) || math.Abs(f) > maxExact:
		return nil, fmt.Errorf("must be a number between -2^53 and 2^53")
	case f == math.Trunc(f):
		return int64(f), nil
	}
	return f, nil
}
