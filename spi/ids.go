package spi

import (
	"regexp"

	"github.com/holdfast-osb/holdfast/internal/fault"
)

// ids of instances and bindings become names in the service and elements of
// paths.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// CheckID refuses an instance's or a binding's id that is not safe to use in
// names and paths. field names it in the fault.
func CheckID(field, id string) error {
	if !idPattern.MatchString(id) {
		return fault.InvalidField(field, "%q must match %s", id, idPattern)
	}
	return nil
}
