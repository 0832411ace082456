package variables

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

// Interpolated is a document without placeholders.
type Interpolated struct {
	Document *manifest.Document
	// Secrets are the values that were filled in, for whoever must keep them
	// out of errors and logs.
	Secrets []string
	// Used are the variables that were filled in, ordered by name.
	Used []Stored
}

var (
	placeholder = regexp.MustCompile(`\(\(.*?\)\)`)
	wholeString = regexp.MustCompile(`^\(\([^(]*\)\)$`)
)

// Interpolate replaces all placeholders of a document by values of the store:
// ((name)), ((name.key)), ((/absolute)), each with an optional leading !, also
// within longer strings and as keys. All that are missing are named in one fault.
func Interpolate(ctx context.Context, store Store, scope Scope, d *manifest.Document) (Interpolated, error) {
	in := &interpolation{ctx: ctx, store: store, scope: scope, roots: map[string]root{}, values: map[string]any{}}
	out, err := d.Replace(in.replace)
	if err != nil {
		return Interpolated{}, err
	}
	if len(in.relative) > 0 {
		return Interpolated{}, fault(manifest.CodeVariableNameSyntax,
			"Relative paths are not allowed in this context. The following must be be switched to use absolute paths: "+strings.Join(in.relative, ", "))
	}
	if len(in.missing) > 0 {
		return Interpolated{}, fault(manifest.CodeVariableNotFound, strings.Join(in.missing, "\n"))
	}
	if len(in.misplaced) > 0 {
		return Interpolated{}, fault(manifest.CodeVariablePlacement, strings.Join(in.misplaced, "\n"))
	}
	return Interpolated{Document: out, Secrets: in.secrets(), Used: in.used()}, nil
}

type interpolation struct {
	ctx    context.Context
	store  Store
	scope  Scope
	roots  map[string]root // by absolute name
	values map[string]any  // by placeholder

	relative, missing, misplaced []string
}

// root is a variable as it was fetched.
type root struct {
	stored Stored
	found  bool
	value  any
}

// replace is called for every string of the document.
func (in *interpolation) replace(text string, key bool) (any, error) {
	if key {
		if !wholeString.MatchString(text) {
			return text, nil
		}
	} else if !strings.Contains(text, "((") {
		return text, nil
	}
	found := placeholder.FindAllString(text, -1)
	complete := true
	for _, p := range found {
		ok, err := in.fetch(p)
		if err != nil {
			return nil, err
		}
		complete = complete && ok
	}
	switch {
	case !complete || len(found) == 0:
		return text, nil
	case len(found) == 1 && found[0] == text:
		return in.whole(text, key), nil
	}
	return in.embedded(text), nil
}

// whole is the value of a string that is nothing but a placeholder.
func (in *interpolation) whole(text string, key bool) any {
	value := in.values[text]
	if _, isString := value.(string); key && !isString {
		in.misplace(text)
		return text
	}
	return value
}

func (in *interpolation) embedded(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		switch v := in.values[p].(type) {
		case string:
			return v
		case json.Number:
			if _, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
				return v.String()
			}
		}
		in.misplace(p)
		return p
	})
}

// misplace does not quote the string around the placeholder, which the
// director does: there may be a secret in it.
func (in *interpolation) misplace(p string) {
	text := fmt.Sprintf("- Failed to substitute variable: Can not replace '%s'. The value should be a String or an Integer.", p)
	if !slices.Contains(in.misplaced, text) {
		in.misplaced = append(in.misplaced, text)
	}
}

// fetch finds the value of a placeholder; what is missing is noted.
func (in *interpolation) fetch(p string) (bool, error) {
	if _, known := in.values[p]; known {
		return true, nil
	}
	name, err := checkPlaceholder(p[2 : len(p)-2])
	if err != nil {
		return false, err
	}
	if in.scope.Deployment == "" && !strings.HasPrefix(name, "/") {
		in.note(&in.relative, "'"+name+"'")
		return false, nil
	}
	path := strings.Split(in.scope.Absolute(name), ".")
	r, err := in.root(path[0])
	if err != nil {
		return false, err
	}
	if !r.found {
		in.note(&in.missing, fmt.Sprintf("- Failed to find variable '%s' from config server: HTTP Code '404', Error: 'Name '%s' not found'", path[0], path[0]))
		return false, nil
	}
	value, reason := descend(r.value, path)
	if reason != "" {
		in.note(&in.missing, fmt.Sprintf("- Failed to fetch variable '%s' from config server: %s", path[0], reason))
		return false, nil
	}
	in.values[p] = value
	return true, nil
}

func (in *interpolation) note(list *[]string, text string) {
	if !slices.Contains(*list, text) {
		*list = append(*list, text)
	}
}

func (in *interpolation) root(name string) (root, error) {
	if r, known := in.roots[name]; known {
		return r, nil
	}
	stored, found, err := in.store.GetVariable(in.ctx, name)
	if err != nil {
		return root{}, fmt.Errorf("look up variable %s: %w", name, err)
	}
	r := root{stored: stored, found: found}
	if found {
		d := json.NewDecoder(strings.NewReader(string(stored.Value)))
		d.UseNumber()
		if err := d.Decode(&r.value); err != nil {
			return root{}, fmt.Errorf("variable %s has a damaged value", name) // the cause would quote it
		}
	}
	in.roots[name] = r
	return r, nil
}

// descend follows the keys after the variable's name.
func descend(value any, path []string) (any, string) {
	for i, key := range path[1:] {
		parent := strings.Join(path[:i+1], ".")
		h, ok := value.(map[string]any)
		if !ok {
			return nil, fmt.Sprintf("Expected parent '%s' to be a hash", parent)
		}
		if value, ok = h[key]; !ok {
			return nil, fmt.Sprintf("Expected parent '%s' hash to have key '%s'", parent, key)
		}
	}
	return value, ""
}

func (in *interpolation) secrets() []string {
	seen := map[string]bool{}
	for _, v := range in.values {
		leaves(v, seen)
	}
	out := make([]string, 0, len(seen))
	for s := range seen {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func leaves(v any, into map[string]bool) {
	switch v := v.(type) {
	case string:
		if v != "" {
			into[v] = true
		}
	case map[string]any:
		for _, e := range v {
			leaves(e, into)
		}
	case []any:
		for _, e := range v {
			leaves(e, into)
		}
	}
}

func (in *interpolation) used() []Stored {
	var out []Stored
	for _, r := range in.roots {
		if r.found {
			out = append(out, r.stored)
		}
	}
	slices.SortFunc(out, func(a, b Stored) int { return strings.Compare(a.Name, b.Name) })
	return out
}
