package release

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"

	boshmanifest "github.com/cloudfoundry/bosh-cli/v7/release/manifest"
	boshlog "github.com/cloudfoundry/bosh-utils/logger"
	boshsys "github.com/cloudfoundry/bosh-utils/system"
)

// Names become file names, here and in VMs.
var (
	validName        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}$`)
	validFingerprint = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,128}$`)
)

// readManifest reads release.MF: everything but what only the jobs' own manifests say.
func (a *Archive) readManifest() (*Release, error) {
	path := filepath.Join(a.dir, "release.MF")
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, faultf(CodeReleaseManifestMissing, "Release manifest not found")
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > manifestLimit {
		return nil, faultf(CodeReleaseInvalidArchive, "Release manifest has more than %d MiB", manifestLimit>>20)
	}
	// bosh-cli's reader knows the binary strings of old releases.
	m, err := boshmanifest.NewManifestFromPath(path, boshsys.NewOsFileSystem(boshlog.NewLogger(boshlog.LevelNone)))
	if err != nil {
		return nil, faultf(CodeReleaseInvalidArchive, "%s", err)
	}
	return fromManifest(m)
}

func fromManifest(m boshmanifest.Manifest) (*Release, error) {
	if !validName.MatchString(m.Name) {
		return nil, faultf(CodeReleaseInvalidArchive, "Release name invalid: %q", m.Name)
	}
	version, err := ParseVersion(m.Version)
	if err != nil {
		return nil, faultf(CodeReleaseVersionInvalid, "Release version invalid: %s", m.Version)
	}
	if len(m.CompiledPkgs) > 0 {
		return nil, faultf(CodeReleaseInvalidPackage, "Release '%s/%s' holds compiled packages, which this director does not take: upload its source release", m.Name, version)
	}
	rel := &Release{Name: m.Name, Version: version, CommitHash: m.CommitHash, UncommittedChanges: m.UncommittedChanges}
	for _, ref := range m.Packages {
		p := Package{Name: ref.Name, Version: ref.Version, Fingerprint: ref.Fingerprint, Digest: ref.SHA1, Dependencies: ref.Dependencies}
		if err := checkRef("package", p.Name, &p.Version, &p.Fingerprint, CodeReleaseInvalidPackage); err != nil {
			return nil, err
		}
		if _, dup := rel.Package(p.Name); dup {
			return nil, faultf(CodeReleaseInvalidPackage, "Release has two packages '%s'", p.Name)
		}
		rel.Packages = append(rel.Packages, p)
	}
	for _, ref := range m.Jobs {
		j := Job{Name: ref.Name, Version: ref.Version, Fingerprint: ref.Fingerprint, Digest: ref.SHA1, Packages: ref.Packages}
		if err := checkRef("job", j.Name, &j.Version, &j.Fingerprint, CodeJobInvalidArchive); err != nil {
			return nil, err
		}
		if _, dup := rel.Job(j.Name); dup {
			return nil, faultf(CodeJobInvalidArchive, "Release has two jobs '%s'", j.Name)
		}
		rel.Jobs = append(rel.Jobs, j)
	}
	if m.License != nil {
		rel.License = &License{Fingerprint: m.License.Fingerprint, Digest: m.License.SHA1}
	}
	return rel, nil
}

// checkRef checks what a release says of a job or package. Either of version and fingerprint may be left out: they are the same by now.
func checkRef(kind, name string, version, fingerprint *string, code int) error {
	if !validName.MatchString(name) {
		return faultf(code, "Name of a %s invalid: %q", kind, name)
	}
	if *fingerprint == "" {
		*fingerprint = *version
	}
	if *version == "" {
		*version = *fingerprint
	}
	if !validFingerprint.MatchString(*fingerprint) || !validFingerprint.MatchString(*version) {
		return faultf(code, "Fingerprint or version of %s '%s' invalid", kind, name)
	}
	return nil
}
