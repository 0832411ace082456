package manifest

// Available is what the director has.
type Available struct {
	Releases  map[string][]string // versions by release name
	Stemcells []StemcellVersion
}

// StemcellVersion is an uploaded stemcell.
type StemcellVersion struct{ Name, OS, Version string }

// Resolve replaces "latest" and "N.latest" by versions and checks that every
// release and stemcell of the manifest exists. Faults: 30005, 30006, 50003.
func (m *Manifest) Resolve(have Available) error { return errNotYet }

// CompareVersions orders release and stemcell versions as BOSH does.
func CompareVersions(a, b string) int { return 0 }
