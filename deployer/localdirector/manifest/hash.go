package manifest

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// hash is a YAML mapping that remembers the order of its keys: faults quote
// objects and diffs list sections in the order they were written.
//
// Values are *hash, []any, string, int, Float, bool, nil, or interpolated.
type hash struct {
	keys   []string
	values map[string]any
}

func newHash(capacity int) *hash {
	return &hash{keys: make([]string, 0, capacity), values: make(map[string]any, capacity)}
}

func (h *hash) set(key string, value any) {
	if _, ok := h.values[key]; !ok {
		h.keys = append(h.keys, key)
	}
	h.values[key] = value
}

func (h *hash) get(key string) (any, bool) {
	if h == nil {
		return nil, false
	}
	v, ok := h.values[key]
	return open(v), ok
}

func (h *hash) has(key string) bool {
	if h == nil {
		return false
	}
	_, ok := h.values[key]
	return ok
}

// interpolated is a value that took the place of a ((placeholder)). It may be
// a secret, so faults never show it.
type interpolated struct{ value any }

// open takes the value out of its envelope.
func open(v any) any {
	if sealed, ok := v.(interpolated); ok {
		return sealed.value
	}
	return v
}

// Float is a YAML float. Its text forms are Ruby's: 1.0 stays 1.0 on its way
// into templates and versions, where Go would write 1.
type Float float64

func (f Float) String() string {
	v := float64(f)
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	if abs := math.Abs(v); abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', -1, 64), "e")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		return mantissa + "e" + exponent
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// MarshalJSON keeps the fraction; JSON has no word for infinity and NaN.
func (f Float) MarshalJSON() ([]byte, error) {
	if v := float64(f); math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, &json.UnsupportedValueError{Str: f.String()}
	}
	return []byte(f.String()), nil
}

// plain turns the ordered tree into maps and slices of its own.
func plain(v any) any {
	switch v := open(v).(type) {
	case *hash:
		return plainMap(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plain(e)
		}
		return out
	default:
		return v
	}
}

func plainMap(h *hash) map[string]any {
	if h == nil {
		return map[string]any{}
	}
	out := make(map[string]any, len(h.keys))
	for _, k := range h.keys {
		out[k] = plain(h.values[k])
	}
	return out
}

// equal compares two values as Ruby's == does: hashes without regard to order,
// and numbers by value.
func equal(a, b any) bool {
	a, b = open(a), open(b)
	switch a := a.(type) {
	case *hash:
		b, ok := b.(*hash)
		if !ok || len(a.keys) != len(b.keys) {
			return false
		}
		for _, k := range a.keys {
			other, ok := b.values[k]
			if !ok || !equal(a.values[k], other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case int:
		if f, ok := b.(Float); ok {
			return Float(a) == f
		}
	case Float:
		if i, ok := b.(int); ok {
			return a == Float(i)
		}
	}
	return a == b
}
