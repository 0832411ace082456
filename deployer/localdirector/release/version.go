package release

import "errors"

// ParseVersion checks a version and returns it in BOSH's own spelling.
func ParseVersion(version string) (string, error) { return "", errors.ErrUnsupported }

// CompareVersions orders two versions semi-semantically (1.10 after 1.9,
// 1.0-rc.1 before 1.0 before 1.0+dev.1). Versions that do not parse come
// first, ordered as text.
func CompareVersions(a, b string) int { return 0 }

// ResolveVersion picks from available what a manifest's version asks for: the same
// version, "latest", or the latest that starts like "1.latest" or "1.2.latest".
func ResolveVersion(want string, available []string) (string, bool) { return "", false }
