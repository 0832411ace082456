package manifest

import (
	"regexp"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// Available is what was uploaded to the director.
type Available struct {
	Releases  []ReleaseVersion
	Stemcells []StemcellVersion
}

// ReleaseVersion is an uploaded release.
type ReleaseVersion struct {
	Name    string
	Version string
	Jobs    []string // names; nil when they need no checking
}

// StemcellVersion is an uploaded stemcell.
type StemcellVersion struct{ Name, OS, Version string }

var latestPattern = regexp.MustCompile(`^(?:(.+)\.)?latest$`)

// latest picks the highest version, or the highest below a prefix for
// "1.2.latest".
func latest(versions []string, prefix string) (string, bool) {
	best, found := "", false
	for _, v := range versions {
		if prefix != "" && !belowPrefix(v, prefix) {
			continue
		}
		if !found || release.CompareVersions(v, best) > 0 {
			best, found = v, true
		}
	}
	return best, found
}

func belowPrefix(version, prefix string) bool {
	rest, ok := strings.CutPrefix(version, prefix)
	return ok && (rest == "" || strings.ContainsAny(rest[:1], ".-+"))
}

// Resolved is the document with the versions that "latest" means now; what a
// deployment runs does not change because something newer was uploaded.
// Faults: 30005, 30006, 50003.
func (d *Document) Resolved(have Available) (*Document, error) {
	root, err := resolveVersions(d.root, have)
	if err != nil {
		return nil, err
	}
	return &Document{root: root}, nil
}

// resolveVersions returns a copy of a manifest whose releases and stemcells
// have the versions that "latest" means now.
func resolveVersions(root *hash, have Available) (*hash, error) {
	out := psych.NewHash(len(root.Keys))
	for _, k := range root.Keys {
		list, isList := open(root.Values[k]).([]any)
		if !isList || (k != "stemcells" && k != "releases") {
			out.Set(k, root.Values[k])
			continue
		}
		resolved := make([]any, len(list))
		for i, e := range list {
			h, ok := open(e).(*hash)
			if !ok {
				resolved[i] = e
				continue
			}
			entry, err := have.resolveEntry(k, h)
			if err != nil {
				return nil, err
			}
			resolved[i] = entry
		}
		out.Set(k, resolved)
	}
	return out, nil
}

func (a Available) resolveEntry(section string, h *hash) (*hash, error) {
	r := read(h)
	version, name, os := r.strOr("version", ""), r.strOr("name", ""), r.strOr("os", "")
	if r.err != nil || !h.Has("version") {
		return h, nil // what is wrong with it is said when it is read in full
	}
	out := psych.NewHash(len(h.Keys) + 1)
	for _, k := range h.Keys {
		out.Set(k, h.Values[k])
	}
	if section == "releases" {
		v, err := a.resolveRelease(name, version)
		out.Set("version", v)
		return out, err
	}
	v, err := a.resolveStemcell(name, os, version)
	if err != nil {
		return nil, err
	}
	out.Set("version", v)
	if found, err := a.stemcell(Stemcell{Name: name, OS: os, Version: v}); err == nil && os == "" {
		out.Set("os", found.OS)
	}
	return out, nil
}

func (a Available) resolveRelease(name, version string) (string, error) {
	parts := latestPattern.FindStringSubmatch(version)
	if parts == nil {
		return version, nil
	}
	var versions []string
	for _, r := range a.Releases {
		if r.Name == name {
			versions = append(versions, r.Version)
		}
	}
	if len(versions) == 0 {
		return "", faultf(CodeReleaseNotFound, "Release '%s' doesn't exist", name)
	}
	v, ok := latest(versions, parts[1])
	if !ok {
		return "", faultf(CodeReleaseVersionNotFound, "Release version '%s/%s' doesn't exist", name, version)
	}
	return v, nil
}

func (a Available) resolveStemcell(name, os, version string) (string, error) {
	parts := latestPattern.FindStringSubmatch(version)
	if parts == nil {
		return version, nil
	}
	var versions []string
	for _, s := range a.Stemcells {
		if name != "" && s.Name == name || name == "" && os != "" && s.OS == os {
			versions = append(versions, s.Version)
		}
	}
	what := "Stemcell '" + name + "'"
	switch {
	case name == "" && os == "":
		return "", faultf(CodeUnknown, "Stemcell definition must contain either name or os")
	case name == "":
		what = "Stemcell with Operating System '" + os + "'"
	}
	if len(versions) == 0 {
		return "", faultf(CodeStemcellNotFound, "%s doesn't exist", what)
	}
	v, ok := latest(versions, parts[1])
	if !ok {
		return "", faultf(CodeStemcellNotFound, "%s exists, but version with prefix '%s' not found.", what, parts[1])
	}
	return v, nil
}

// release finds an uploaded release.
func (a Available) release(name, version string) (ReleaseVersion, error) {
	known := false
	for _, r := range a.Releases {
		if r.Name != name {
			continue
		}
		known = true
		if r.Version == version || release.CompareVersions(r.Version, version) == 0 {
			return r, nil
		}
	}
	if !known {
		return ReleaseVersion{}, faultf(CodeReleaseNotFound, "Release '%s' doesn't exist", name)
	}
	return ReleaseVersion{}, faultf(CodeReleaseVersionNotFound, "Release version '%s/%s' doesn't exist", name, version)
}

// stemcell finds the uploaded stemcell that a manifest's entry means.
func (a Available) stemcell(s Stemcell) (StemcellVersion, error) {
	for _, have := range a.Stemcells {
		if have.Version == s.Version && (s.Name == "" && have.OS == s.OS || s.Name != "" && have.Name == s.Name) {
			return have, nil
		}
	}
	if s.Name == "" {
		return StemcellVersion{}, faultf(CodeStemcellNotFound, "Stemcell version '%s' for OS '%s' doesn't exist", s.Version, s.OS)
	}
	return StemcellVersion{}, faultf(CodeStemcellNotFound, "Stemcell '%s/%s' doesn't exist", s.Name, s.Version)
}

func (p *parser) checkStemcells() error {
	for i := range p.m.Stemcells {
		s := &p.m.Stemcells[i]
		found, err := p.have.stemcell(*s)
		if err != nil {
			return err
		}
		s.Name, s.OS = found.Name, found.OS
	}
	return nil
}

// checkReleases looks for the releases that no job uses, too, and gives all
// the spelling of the version that was uploaded.
func (p *parser) checkReleases() error {
	for i := range p.m.Releases {
		r := &p.m.Releases[i]
		found, err := p.have.release(r.Name, r.Version)
		if err != nil {
			return err
		}
		r.Version = found.Version
	}
	return nil
}
