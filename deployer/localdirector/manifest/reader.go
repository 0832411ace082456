package manifest

import (
	"strconv"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

// reader takes typed properties out of a hash. It keeps the first fault and
// does nothing more after it, so that callers read everything they need and
// look at err once.
type reader struct {
	object any
	h      *hash
	err    error
}

func read(object any) *reader {
	r := &reader{object: object}
	switch v := open(object).(type) {
	case *hash:
		r.h = v
	case nil:
	default:
		r.err = faultf(CodeValidationInvalidType, "Object (%s) did not match the required type 'Hash'", inspect(object))
	}
	return r
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// value returns a property of a type. Numbers serve as strings, as versions
// are often written without quotes.
func (r *reader) value(key, kind string, required bool) (any, bool) {
	if r.err != nil {
		return nil, false
	}
	v, ok := get(r.h, key)
	if !ok {
		if required {
			r.fail(faultf(CodeValidationMissingField, "Required property '%s' was not specified in object (%s)", key, inspect(r.object)))
		}
		return nil, false
	}
	if kind == "String" {
		switch n := v.(type) {
		case int:
			return strconv.Itoa(n), true
		case psych.Float:
			return n.String(), true
		}
	}
	if !isKind(v, kind) {
		shown := r.h.Values[key]
		if hiddenKeys[key] {
			shown = interpolated{}
		}
		r.fail(faultf(CodeValidationInvalidType, "Property '%s' value (%s) did not match the required type '%s'", key, inspect(shown), kind))
		return nil, false
	}
	return v, true
}

func isKind(v any, kind string) bool {
	switch v.(type) {
	case string:
		return kind == "String"
	case int:
		return kind == "Integer"
	case bool:
		return kind == "boolean"
	case []any:
		return kind == "Array"
	case *hash:
		return kind == "Hash"
	}
	return false
}

func (r *reader) has(key string) bool { return r.h.Has(key) }

func (r *reader) str(key string) string {
	v, _ := r.value(key, "String", true)
	s, _ := v.(string)
	return s
}

func (r *reader) strOr(key, absent string) string {
	if v, ok := r.value(key, "String", false); ok {
		return v.(string)
	}
	return absent
}

func (r *reader) integer(key string) int {
	v, _ := r.value(key, "Integer", true)
	n, _ := v.(int)
	return n
}

func (r *reader) integerOr(key string, absent int) int {
	if v, ok := r.value(key, "Integer", false); ok {
		return v.(int)
	}
	return absent
}

func (r *reader) boolOr(key string, absent bool) bool {
	if v, ok := r.value(key, "boolean", false); ok {
		return v.(bool)
	}
	return absent
}

func (r *reader) list(key string) []any {
	v, _ := r.value(key, "Array", true)
	l, _ := v.([]any)
	return l
}

func (r *reader) listOr(key string) []any {
	if v, ok := r.value(key, "Array", false); ok {
		return v.([]any)
	}
	return nil
}

func (r *reader) hash(key string) *hash {
	v, _ := r.value(key, "Hash", true)
	h, _ := v.(*hash)
	return h
}

// hashOr returns nil when the property is absent.
func (r *reader) hashOr(key string) *hash {
	if v, ok := r.value(key, "Hash", false); ok {
		return v.(*hash)
	}
	return nil
}

// strings reads a list of strings; a missing one is nil.
func (r *reader) strings(key string) []string {
	list := r.listOr(key)
	if list == nil {
		return nil
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, ok := open(e).(string)
		if !ok {
			r.fail(faultf(CodeValidationInvalidType, "Property '%s' value (%s) did not match the required type 'String'", key, inspect(e)))
			return nil
		}
		out = append(out, s)
	}
	return out
}
