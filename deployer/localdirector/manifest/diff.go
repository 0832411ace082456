package manifest

// DiffLine is a line of a diff and "added", "removed" or nil; it encodes as
// the director's JSON pair.
type DiffLine [2]any

// DiffSide is a state of a deployment: its manifest and its cloud config, as
// texts. A deployment that does not exist is the zero value.
type DiffSide struct {
	Manifest    []byte
	CloudConfig []byte
}

// DiffDeployments is the answer to /deployments/NAME/diff. Versions "latest"
// are resolved first, in both sides. With redact, values of properties are not shown.
func DiffDeployments(before, after DiffSide, have Available, redact bool) ([]DiffLine, error) {
	return nil, errNotYet
}

// DiffConfigs is the answer to /configs/diff.
func DiffConfigs(before, after []byte) ([]DiffLine, error) { return nil, errNotYet }

// Canonical renders YAML as the director stores and shows configs ("---\n…").
func Canonical(text []byte) ([]byte, error) { return nil, errNotYet }
