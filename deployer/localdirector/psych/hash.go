package psych

// Hash is a mapping that remembers the order of its keys: faults quote objects
// and diffs list sections in the order they were written.
type Hash struct {
	Keys   []string
	Values map[string]any
}

// NewHash returns an empty one.
func NewHash(capacity int) *Hash {
	return &Hash{Keys: make([]string, 0, capacity), Values: make(map[string]any, capacity)}
}

// Set gives a key a value; a new key comes last.
func (h *Hash) Set(key string, value any) {
	if !h.Has(key) {
		h.Keys = append(h.Keys, key)
	}
	h.Values[key] = value
}

// Has tells whether there is such a key; a nil Hash has none.
func (h *Hash) Has(key string) bool {
	if h == nil {
		return false
	}
	_, ok := h.Values[key]
	return ok
}

// Plain turns a tree into maps (map[string]any) and slices of its own. Each value
// goes through open first.
func Plain(v any, open func(any) any) any {
	switch v := open(v).(type) {
	case *Hash:
		out := make(map[string]any, len(v.Keys))
		for key, value := range v.Values {
			out[key] = Plain(value, open)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = Plain(e, open)
		}
		return out
	default:
		return v
	}
}
