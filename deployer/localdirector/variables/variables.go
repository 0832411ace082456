package variables

import (
	"context"
	"regexp"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

// Stored is a generated value as the store keeps it.
type Stored struct {
	ID      string // the store's; a new value has a new one
	Name    string // absolute: /DIRECTOR/DEPLOYMENT/NAME
	Type    string
	Options []byte // what it was generated from: JSON with sorted keys
	Value   []byte // JSON: a string, or a hash of strings. Secret
}

// String keeps the value out of logs.
func (s Stored) String() string { return s.Name }

// GoString keeps the value out of logs.
func (s Stored) GoString() string { return s.Name }

// Store keeps values by absolute name.
type Store interface {
	// GetVariable returns the newest value; false for a name without one.
	GetVariable(ctx context.Context, name string) (Stored, bool, error)
	// PutVariable adds a value, which is the newest from then on, and returns
	// it with its id.
	PutVariable(ctx context.Context, v Stored) (Stored, error)
}

// Scope makes relative names absolute. Without a deployment, as for cloud
// configs, relative names are faults.
type Scope struct{ Director, Deployment string }

// Absolute is the name in the store.
func (s Scope) Absolute(name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return "/" + s.Director + "/" + s.Deployment + "/" + name
}

var (
	definitionName  = regexp.MustCompile(`^[a-zA-Z0-9_\-/]+$`)
	placeholderName = regexp.MustCompile(`^[a-zA-Z0-9_\-.!/]+$`)
)

func checkDefinitionName(name string) error {
	if !definitionName.MatchString(name) {
		return fault(manifest.CodeVariableNameSyntax, "Variable name '"+name+"' must only contain alphanumeric, underscores, dashes, or forward slash characters")
	}
	return checkSlashes(name)
}

func checkSlashes(name string) error {
	if strings.HasSuffix(name, "/") {
		return fault(manifest.CodeVariableNameSyntax, "Variable name '"+name+"' must not end with a forward slash")
	}
	if strings.Contains(name, "//") {
		return fault(manifest.CodeVariableNameSyntax, "Variable name '"+name+"' must not contain two consecutive forward slashes")
	}
	return nil
}

// checkPlaceholder checks the text between (( and )) and returns the name
// without the leading ! that spiff templates have.
func checkPlaceholder(name string) (string, error) {
	if !placeholderName.MatchString(name) {
		return "", fault(manifest.CodeVariableNameSyntax, "Variable name '"+name+"' must only contain alphanumeric, underscores, dashes, or forward slash characters")
	}
	if err := checkSlashes(name); err != nil {
		return "", err
	}
	dir, base := "", name
	if i := strings.LastIndex(name, "/"); i >= 0 {
		dir, base = name[:i], name[i+1:]
	}
	reason := ""
	switch {
	case strings.Contains(dir, "."):
		reason = "Must not contain dots before the last slash"
	case strings.HasPrefix(base, "."):
		reason = "Must not have segment starting with a dot"
	case strings.HasSuffix(base, "."):
		reason = "Must not end name with a dot"
	case strings.Contains(base, ".."):
		reason = "Must not contain consecutive dots"
	}
	if reason != "" {
		return "", fault(manifest.CodeVariableNameSyntax, "Variable name '"+name+"' syntax error: "+reason)
	}
	if rest := strings.TrimPrefix(name, "!"); strings.Contains(rest, "!") || rest == "" {
		return "", fault(manifest.CodeVariableNameSyntax, "Variable name '"+name+"' contains invalid character '!'. If it is included for spiff, "+
			"it should only be at the beginning of the name. Note: it will not be considered a part of the name")
	}
	return strings.TrimPrefix(name, "!"), nil
}

func fault(code int, message string) error { return &manifest.Error{Code: code, Message: message} }
