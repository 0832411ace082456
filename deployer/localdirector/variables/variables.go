package variables

import (
	"context"
	"errors"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

var errNotYet = errors.New("not implemented")

// Stored is a generated value as the store keeps it.
type Stored struct {
	ID      string // set by the store
	Name    string // absolute: /DIRECTOR/DEPLOYMENT/NAME
	Type    string
	Options []byte // the options it was generated from, JSON with sorted keys
	Value   []byte // JSON: a string, or a hash of strings
}

// Store keeps values by absolute name. Get reports false for unknown names.
type Store interface {
	GetVariable(ctx context.Context, name string) (Stored, bool, error)
	PutVariable(ctx context.Context, v Stored) (Stored, error)
}

// Scope makes relative names absolute.
type Scope struct{ Director, Deployment string }

// Absolute is the name in the store.
func (s Scope) Absolute(name string) string { return "" }

// Ensure generates every variable that has no value yet, or whose options
// changed under update_mode converge, in their order, and returns what the
// store then has for each.
func Ensure(ctx context.Context, store Store, scope Scope, vars []manifest.Variable) ([]Stored, error) {
	return nil, errNotYet
}

// Interpolate returns a copy of tree with all placeholders replaced, also
// inside strings. All that are missing are reported in one error.
func Interpolate(ctx context.Context, store Store, scope Scope, tree map[string]any) (map[string]any, error) {
	return nil, errNotYet
}
