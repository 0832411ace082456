package release

import (
	"cmp"
	"fmt"

	"github.com/cppforlife/go-semi-semantic/version"
)

// ParseVersion checks a version and returns it in BOSH's own spelling.
func ParseVersion(text string) (string, error) {
	v, err := version.NewVersionFromString(text)
	if err != nil {
		return "", fmt.Errorf("version %q: %w", text, err)
	}
	return v.AsString(), nil
}

// CompareVersions orders two versions semi-semantically (1.10 after 1.9,
// 1.0-rc.1 before 1.0 before 1.0+dev.1). Versions that do not parse come
// first, ordered as text.
func CompareVersions(a, b string) int {
	va, errA := version.NewVersionFromString(a)
	vb, errB := version.NewVersionFromString(b)
	switch {
	case errA != nil && errB != nil:
		return cmp.Compare(a, b)
	case errA != nil:
		return -1
	case errB != nil:
		return 1
	}
	return va.Compare(vb)
}
