package manifest

// Document is a deployment manifest read as YAML: a hash with a name, nothing
// else checked, its ((placeholders)) as they were written.
type Document struct {
	name string
	tree map[string]any
}

// Read parses the text of a deployment manifest. Its faults are those that the
// director's HTTP API answers at once: broken YAML, not a hash, empty, no name.
func Read(text []byte) (*Document, error) { return nil, errNotYet }

// Name of the deployment.
func (d *Document) Name() string { return d.name }

// Tree is the manifest as data: map[string]any, []any, string, int, float64,
// bool and nil. It is a copy the caller may change.
func (d *Document) Tree() map[string]any { return d.tree }

// Variables are the checked definitions of the `variables` section.
func (d *Document) Variables() ([]Variable, error) { return nil, errNotYet }

// Variable is one entry of `variables`.
type Variable struct {
	Name       string         // as written: relative to the deployment, or absolute with a leading /
	Type       string         // password, certificate, rsa, ssh
	UpdateMode string         // "no-overwrite" (default), "overwrite" or "converge"
	Options    map[string]any // the generator's
}
