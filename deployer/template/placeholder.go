package template

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// placeholderPattern is the engine's own.
var placeholderPattern = regexp.MustCompile(`\(\( ?(!?[-/\.\w\pL]+) ?\)\)`)

// placeholder is one use of a name in a manifest.
type placeholder struct {
	name   string // what is before the first dot
	path   bool   // ((name.key))
	inline bool   // part of a longer string, or a key
	spaced bool   // (( name )): the engine leaves it alone inside a string
}

// placeholders lists those in a document of the engine's types.
func placeholders(document any) []placeholder {
	var found []placeholder
	walk(document, false, func(text string, isKey bool) {
		for _, match := range placeholderPattern.FindAllStringSubmatch(text, -1) {
			name, _, path := strings.Cut(strings.TrimPrefix(match[1], "!"), ".")
			found = append(found, placeholder{name: name, path: path,
				inline: isKey || match[0] != text, spaced: strings.Contains(match[0], " ")})
		}
	})
	return found
}

// walk visits every string of a document.
func walk(node any, isKey bool, visit func(text string, isKey bool)) {
	switch node := node.(type) {
	case string:
		visit(node, isKey)
	case []any:
		for _, item := range node {
			walk(item, false, visit)
		}
	case map[any]any:
		for key, item := range node {
			walk(key, true, visit)
			walk(item, false, visit)
		}
	}
}

// holdsPlaceholder tells whether a value would be taken for a placeholder, by
// the engine or, with its wider pattern, by the director.
func holdsPlaceholder(value any) bool {
	found := false
	walk(value, false, func(text string, _ bool) { found = found || strings.Contains(text, "((") })
	return found
}

// checkPlaceholders compares what a manifest uses with what is declared, and
// returns the names that are left to the director, sorted.
func checkPlaceholders(document any, attributes []attributeDeclaration) (passed []string, err error) {
	declared := map[string]kind{nameAttribute: kindString}
	for _, a := range attributes {
		declared[a.Name] = kind(a.Type)
	}
	var faults []error
	used := map[string]bool{nameAttribute: true}
	for _, p := range placeholders(document) {
		k, known := declared[p.name]
		if !known {
			if !slices.Contains(passed, p.name) {
				passed = append(passed, p.name)
			}
			continue
		}
		used[p.name] = true
		switch {
		case p.path && k != kindMap:
			faults = append(faults, fmt.Errorf("((%s.…)): the attribute is a %s, not a map", p.name, k))
		case p.inline && !p.path && !k.inline():
			faults = append(faults, fmt.Errorf("((%s)): a %s cannot stand inside a string or be a key", p.name, k))
		case p.inline && p.spaced:
			faults = append(faults, fmt.Errorf("(( %s )): write ((%s)) inside a string", p.name, p.name))
		}
	}
	for _, a := range attributes {
		if !used[a.Name] {
			faults = append(faults, fmt.Errorf("attributes.%s: is declared but the manifest does not use it", a.Name))
		}
	}
	slices.Sort(passed)
	return passed, errors.Join(faults...)
}
