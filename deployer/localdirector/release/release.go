package release

// Release is what a release tarball holds. All of it can be stored as JSON
// and read back unchanged.
type Release struct {
	Name               string    `json:"name"`
	Version            string    `json:"version"`
	CommitHash         string    `json:"commit_hash"`
	UncommittedChanges bool      `json:"uncommitted_changes"`
	Jobs               []Job     `json:"jobs"`
	Packages           []Package `json:"packages"`
	License            *License  `json:"license,omitempty"`
}

// Job is one job of a release with the content of its job.MF.
type Job struct {
	Name        string              `json:"name"`
	Version     string              `json:"version"` // what events and the agent call its version: the fingerprint
	Fingerprint string              `json:"fingerprint"`
	Digest      string              `json:"digest"` // of the archive, as the release states it: sha1, "sha256:…" or both
	Blob        string              `json:"blob"`   // of the archive in the Store
	Templates   map[string]string   `json:"templates"`
	Properties  map[string]Property `json:"properties"`
	Provides    []ProvidedLink      `json:"provides"`
	Consumes    []ConsumedLink      `json:"consumes"`
	Packages    []string            `json:"packages"`
}

// RunsAsErrand says whether the job has a bin/run, which makes it an errand.
func (j Job) RunsAsErrand() bool {
	for _, target := range j.Templates {
		if target == "bin/run" {
			return true
		}
	}
	return false
}

// Property is the declaration of a job's property. Default is nil when the
// job spec names none.
type Property struct {
	Description string `json:"description,omitempty"`
	Default     any    `json:"default"`
	Example     any    `json:"example,omitempty"`
	Type        string `json:"type,omitempty"`
}

// ProvidedLink is a link that the job offers: the properties are the names
// of those that its consumers may see.
type ProvidedLink struct {
	Name       string   `json:"name"`
	Type       string   `json:"type"`
	Properties []string `json:"properties,omitempty"`
}

// ConsumedLink is a link that the job wants.
type ConsumedLink struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Optional bool   `json:"optional,omitempty"`
}

// Package is one source package of a release.
type Package struct {
	Name         string   `json:"name"`
	Version      string   `json:"version"`
	Fingerprint  string   `json:"fingerprint"`
	Digest       string   `json:"digest"`
	Blob         string   `json:"blob"`
	Dependencies []string `json:"dependencies"`
}

// License names the license archive of a release, which is verified but not kept.
type License struct {
	Fingerprint string `json:"fingerprint"`
	Digest      string `json:"digest"`
}

// Job returns the job of that name.
func (r *Release) Job(name string) (Job, bool) {
	for _, j := range r.Jobs {
		if j.Name == name {
			return j, true
		}
	}
	return Job{}, false
}

// Package returns the package of that name.
func (r *Release) Package(name string) (Package, bool) {
	for _, p := range r.Packages {
		if p.Name == name {
			return p, true
		}
	}
	return Package{}, false
}
