package manifest

import "github.com/holdfast-osb/holdfast/deployer/localdirector/psych"

// hash is a mapping in the order it was written. Values are *hash, []any,
// string, int, psych.Float, bool, nil, or interpolated.
type hash = psych.Hash

// get returns the value of a key, out of its envelope.
func get(h *hash, key string) (any, bool) {
	if h == nil {
		return nil, false
	}
	v, ok := h.Values[key]
	return open(v), ok
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

// plainMap turns a tree into maps and slices of its own, without envelopes.
func plainMap(h *hash) map[string]any {
	if h == nil {
		return map[string]any{}
	}
	return psych.Plain(h, open).(map[string]any)
}

// equal compares two values as Ruby's == does: hashes without regard to order,
// and numbers by value.
func equal(a, b any) bool {
	a, b = open(a), open(b)
	switch a := a.(type) {
	case *hash:
		b, ok := b.(*hash)
		if !ok || len(a.Keys) != len(b.Keys) {
			return false
		}
		for _, k := range a.Keys {
			other, ok := b.Values[k]
			if !ok || !equal(a.Values[k], other) {
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
		if f, ok := b.(psych.Float); ok {
			return psych.Float(a) == f
		}
	case psych.Float:
		if i, ok := b.(int); ok {
			return a == psych.Float(i)
		}
	}
	return a == b
}
