package deployer

import (
	"regexp"

	"github.com/holdfast-osb/holdfast/internal/fault"
)

var (
	namePattern        = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	operationIDPattern = regexp.MustCompile(`^[A-Za-z0-9-]{8,64}$`)
)

// TagKey is the tag that every deployment of ours carries in its manifest. Its
// value names the owner: two Holdfasts on one director tell their deployments
// apart by it.
const TagKey = "holdfast"

// CheckName refuses a deployment name that could not stand in a URL, a DNS
// name and a director's database alike. The fault is Invalid.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fault.InvalidField("name", "must match %s", namePattern)
	}
	return nil
}

// CheckOperationID refuses an operation id that could not travel as a
// director's context id (64 characters at most). The fault is Invalid.
func CheckOperationID(id string) error {
	if !operationIDPattern.MatchString(id) {
		return fault.InvalidField("operation_id", "must match %s", operationIDPattern)
	}
	return nil
}

// CheckTemplateName answers NotFound for a name that no template can have: it
// is checked before it stands in a path.
func CheckTemplateName(name string) error {
	if !namePattern.MatchString(name) {
		return fault.New(fault.NotFound, "there is no template %q", name)
	}
	return nil
}
