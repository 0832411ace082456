package manifest

import "strings"

// Variables are the checked definitions of the `variables` section. Features
// decide the update mode of those that do not say.
func (d *Document) Variables() ([]Variable, error) { return parseVariables(read(d.root)) }

func parseVariables(root *reader) ([]Variable, error) {
	list := root.listOr("variables")
	if root.err != nil {
		return nil, root.err
	}
	mode := "no-overwrite"
	if features, _ := get(root.h, "features"); features != nil {
		if h, ok := features.(*hash); ok {
			if converge, _ := get(h, "converge_variables"); converge == true {
				mode = "converge"
			}
		}
	}
	seen := map[string]bool{}
	out := make([]Variable, 0, len(list))
	for _, spec := range list {
		h, ok := open(spec).(*hash)
		if !ok {
			return nil, faultf(CodeVariablesInvalidFormat, "All 'variables' elements should be Hashes")
		}
		v, err := parseVariable(h, mode)
		if err != nil {
			return nil, err
		}
		if seen[v.Name] {
			return nil, faultf(CodeVariablesInvalidFormat, "Some of the variables have duplicate names, eg: '%s'", v.Name)
		}
		seen[v.Name] = true
		out = append(out, v)
	}
	return out, nil
}

func parseVariable(h *hash, mode string) (Variable, error) {
	v := Variable{UpdateMode: mode}
	if !h.Has("name") {
		return v, faultf(CodeVariablesInvalidFormat, "At least one of the variables is missing the 'name' key; 'name' must be specified")
	}
	name, _ := get(h, "name")
	if v.Name, _ = name.(string); strings.TrimSpace(v.Name) == "" {
		return v, faultf(CodeVariablesInvalidFormat, "At least one of the variables has an empty 'name'; 'name' must not be empty or nil")
	}
	kind, given := get(h, "type")
	switch {
	case !given:
		return v, faultf(CodeVariablesInvalidFormat, "Type for variable '%s' is missing; 'type' must be specified", v.Name)
	case kind == nil:
		return v, faultf(CodeVariablesInvalidFormat, "Type for variable '%s' is nil; 'type' must not be nil", v.Name)
	}
	if v.Type, _ = kind.(string); v.Type == "" && kind != "" {
		return v, faultf(CodeVariablesInvalidFormat, "Type for variable '%s' must be a String, but was '%s'", v.Name, inspect(kind))
	}
	if strings.TrimSpace(v.Type) == "" {
		return v, faultf(CodeVariablesInvalidFormat, "Type for variable '%s' is empty; 'type' must not be empty", v.Name)
	}
	if consumes, _ := get(h, "consumes"); consumes != nil {
		return v, faultf(CodeVariablesInvalidFormat, "Variable '%s' consumes links, for which the local director has no DNS names; give 'alternative_names' in its options", v.Name)
	}
	if options, _ := get(h, "options"); options != nil {
		o, ok := options.(*hash)
		if !ok {
			return v, faultf(CodeVariablesInvalidFormat, "options of variable with name '%s' is not a Hash", v.Name)
		}
		v.Options = plainMap(o)
	}
	if mode, _ := get(h, "update_mode"); mode != nil {
		text, ok := mode.(string)
		if !ok {
			return v, faultf(CodeVariablesInvalidFormat, "Update mode for variable '%s' must be a String, but was '%s'", v.Name, inspect(mode))
		}
		switch text {
		case "no-overwrite", "overwrite", "converge":
			v.UpdateMode = text
		default:
			return v, faultf(CodeVariablesInvalidFormat, "Update mode '%s' for variable '%s' is none of: no-overwrite, overwrite, converge", text, v.Name)
		}
	}
	return v, nil
}
