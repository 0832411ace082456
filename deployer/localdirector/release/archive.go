package release

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Archive is an uploaded release tarball, extracted into the store's staging
// area. Close removes it.
type Archive struct {
	store *Store
	dir   string
}

// Known finds a package that the director already has by its fingerprint. The bosh
// CLI leaves the sources of such packages out of an upload (POST /packages/matches).
type Known func(fingerprint string) (Package, bool)

// ExtractRelease extracts the tarball at path, which stays the caller's.
func (s *Store) ExtractRelease(ctx context.Context, path string) (*Archive, error) {
	dir, err := s.extract(ctx, path, releaseLimits, wantedOfRelease)
	if err != nil {
		return nil, asFault(err, CodeReleaseInvalidArchive, "Extracting release archive failed")
	}
	return &Archive{store: s, dir: dir}, nil
}

// wantedOfRelease says which files of a release tarball are read. Others, such as LICENSE, are passed over.
func wantedOfRelease(name string) bool {
	if name == "release.MF" || name == "license.tgz" {
		return true
	}
	dir, file := path.Split(name)
	return (dir == "jobs/" || dir == "packages/") && strings.HasSuffix(file, ".tgz")
}

// extract writes the wanted files of a tarball to a new staging folder.
func (s *Store) extract(ctx context.Context, tarball string, max limits, wanted func(string) bool) (dir string, err error) {
	f, err := os.Open(tarball)
	if err != nil {
		return "", err
	}
	defer f.Close()
	dir, err = s.stage()
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			s.unstage(dir)
		}
	}()
	return dir, walkTarball(ctx, f, max, func(name string, h *tar.Header, content io.Reader) error {
		switch {
		case h.Typeflag == tar.TypeSymlink || h.Typeflag == tar.TypeLink:
			return defectf("entry '%s' is a link", h.Name)
		case h.Typeflag != tar.TypeReg || !wanted(name):
			return nil
		}
		return writeNew(filepath.Join(dir, filepath.FromSlash(name)), content)
	})
}

func writeNew(path string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return defectf("entry '%s' comes twice", filepath.Base(path))
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// Verify reads the release and checks all of it: names, version, digests,
// job specs, packages' dependencies. Nothing has been stored when it returns.
// A nil known knows no package.
func (a *Archive) Verify(ctx context.Context, known Known) (*Release, error) {
	rel, err := a.readManifest()
	if err != nil {
		return nil, err
	}
	if _, err := rel.CompileOrder(); err != nil {
		return nil, err
	}
	for i := range rel.Packages {
		if err := a.verifyPackage(ctx, &rel.Packages[i], known); err != nil {
			return nil, err
		}
	}
	for i := range rel.Jobs {
		if err := a.verifyJob(ctx, &rel.Jobs[i]); err != nil {
			return nil, err
		}
		for _, name := range rel.Jobs[i].Packages {
			if _, ok := rel.Package(name); !ok {
				return nil, faultf(CodeJobPackageMissing, "Job '%s' has package '%s', which the release does not have", rel.Jobs[i].Name, name)
			}
		}
	}
	if rel.License != nil {
		if err := a.verifyLicense(ctx, *rel.License); err != nil {
			return nil, err
		}
	}
	return rel, nil
}

func (a *Archive) verifyPackage(ctx context.Context, p *Package, known Known) error {
	path := a.packagePath(p.Name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if known != nil {
			if have, ok := known(p.Fingerprint); ok && a.store.Has(have.Blob) {
				p.Blob, p.Digest = have.Blob, have.Digest
				return nil
			}
		}
		return faultf(CodePackageInvalidArchive, "Package '%s' is missing from the release archive", p.Name)
	}
	if err := VerifyDigest(ctx, path, p.Digest, CodePackageInvalidArchive); err != nil {
		return within(err, "Package '%s'", p.Name)
	}
	var err error
	if p.Blob, err = verifyTarball(ctx, path); err != nil {
		return asFault(err, CodePackageInvalidArchive, "Extracting package '%s' failed", p.Name)
	}
	return nil
}

// verifyTarball reads a package's tarball to its end and returns its SHA-256. Its links
// are left alone: they are unfolded inside a VM, where the package's own script runs.
func verifyTarball(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if err := walkTarball(ctx, io.TeeReader(f, sum), packageLimits, func(string, *tar.Header, io.Reader) error { return nil }); err != nil {
		return "", err
	}
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (a *Archive) verifyJob(ctx context.Context, j *Job) error {
	path := a.jobPath(j.Name)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return faultf(CodeJobInvalidArchive, "Job '%s' is missing from the release archive", j.Name)
	}
	if err := VerifyDigest(ctx, path, j.Digest, CodeJobInvalidArchive); err != nil {
		return within(err, "Job '%s'", j.Name)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	files, err := readJobArchive(ctx, f)
	if err != nil {
		return asFault(err, CodeJobInvalidArchive, "Extracting job '%s' failed", j.Name)
	}
	if err := files.describe(j); err != nil {
		return err
	}
	j.Blob, err = sha256Of(ctx, path)
	return err
}

func (a *Archive) verifyLicense(ctx context.Context, l License) error {
	path := filepath.Join(a.dir, "license.tgz")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil // the CLI may leave it out
	}
	return within(VerifyDigest(ctx, path, l.Digest, CodeReleaseInvalidArchive), "License")
}

// within says what a fault belongs to.
func within(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	var fault *Error
	if errors.As(err, &fault) {
		return faultf(fault.Code, "%s: %s", fmt.Sprintf(format, args...), fault.Message)
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

func (a *Archive) packagePath(name string) string {
	return filepath.Join(a.dir, "packages", name+".tgz")
}

func (a *Archive) jobPath(name string) string { return filepath.Join(a.dir, "jobs", name+".tgz") }

// KeepPackage stores a package that Verify returned. One that the director
// had already is left as it is.
func (a *Archive) KeepPackage(p Package) error {
	return within(a.keep(a.packagePath(p.Name), p.Blob), "store package '%s'", p.Name)
}

// KeepJob stores a job that Verify returned.
func (a *Archive) KeepJob(j Job) error {
	return within(a.keep(a.jobPath(j.Name), j.Blob), "store job '%s'", j.Name)
}

func (a *Archive) keep(path, blob string) error {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && a.store.Has(blob) {
		return nil
	}
	return a.store.keep(path, blob)
}

// Close removes what was extracted and not kept.
func (a *Archive) Close() error { return os.RemoveAll(a.dir) }

// AddRelease does all steps of an upload at once.
func (s *Store) AddRelease(ctx context.Context, path string, known Known) (*Release, error) {
	a, err := s.ExtractRelease(ctx, path)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	rel, err := a.Verify(ctx, known)
	if err != nil {
		return nil, err
	}
	for _, p := range rel.Packages {
		if err := a.KeepPackage(p); err != nil {
			return nil, err
		}
	}
	for _, j := range rel.Jobs {
		if err := a.KeepJob(j); err != nil {
			return nil, err
		}
	}
	return rel, nil
}
