package render

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// jobProperties are the properties that a job's templates see: those that its
// spec declares, as given or by default.
func jobProperties(job release.Job, given map[string]any) (map[string]any, error) {
	seen := map[string]any{}
	// In order, so that "a" is there before "a.b" is put into it.
	for _, name := range slices.Sorted(maps.Keys(job.Properties)) {
		path := strings.Split(name, ".")
		value, err := dig(given, name, path)
		if err != nil {
			return nil, err
		}
		if value == nil {
			value = job.Properties[name].Default
		}
		bury(seen, path, value)
	}
	return seen, nil
}

// dig looks a property up; nil when it or a hash above it is not given.
func dig(given map[string]any, name string, path []string) (any, error) {
	var value any = given
	for _, key := range path {
		if value == nil {
			return nil, nil
		}
		hash, ok := value.(map[string]any)
		if !ok {
			//lint:ignore ST1005 the director's words
			return nil, fmt.Errorf("Property '%s' expects a hash, but received '%s'", name, rubyClass(value))
		}
		value = hash[key]
	}
	return value, nil
}

// bury puts a value at its place. A hash is copied, because a later
// property may be put into it and it belongs to the manifest.
func bury(tree map[string]any, path []string, value any) {
	for _, key := range path[:len(path)-1] {
		below, ok := tree[key].(map[string]any)
		if !ok {
			below = map[string]any{}
			tree[key] = below
		}
		tree = below
	}
	tree[path[len(path)-1]] = copied(value)
}

func copied(value any) any {
	hash, ok := value.(map[string]any)
	if !ok {
		return value
	}
	out := make(map[string]any, len(hash))
	for k, v := range hash {
		out[k] = copied(v)
	}
	return out
}

// rubyClass names a value's class as the director does.
func rubyClass(value any) string {
	switch value.(type) {
	case string:
		return "String"
	case bool:
		return map[any]string{true: "TrueClass", false: "FalseClass"}[value]
	case []any:
		return "Array"
	case int, int64, uint64:
		return "Integer"
	default:
		return "Float"
	}
}
