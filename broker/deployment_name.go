package broker

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// deploymentName derives the BOSH deployment's name from the instance's id:
// the same id always gives the same name, and two ids never share one. It is a
// DNS label: lower-case, at most 63 characters.
func deploymentName(prefix, instanceID string) string {
	if uuidPattern.MatchString(instanceID) {
		return prefix + "-" + instanceID
	}
	// The x keeps hashes apart from UUIDs.
	sum := sha256.Sum256([]byte(instanceID))
	return prefix + "-x" + hex.EncodeToString(sum[:])[:35]
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// namePrefix makes a prefix from an offering's name.
func namePrefix(offering string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(offering), "-"), "-")
	if name == "" || name[0] < 'a' {
		name = "s-" + name
	}
	if len(name) > 24 {
		name = name[:24]
	}
	return strings.TrimRight(name, "-")
}
