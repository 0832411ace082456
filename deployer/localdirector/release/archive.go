package release

import (
	"context"
	"errors"
)

// Archive is an uploaded release tarball, extracted into the store's staging
// area. Close removes it.
type Archive struct {
	store *Store
	dir   string
}

// ExtractRelease extracts the tarball at path, which stays the caller's.
func (s *Store) ExtractRelease(ctx context.Context, path string) (*Archive, error) {
	return nil, errors.ErrUnsupported
}

// Known finds a package that the director already has by its fingerprint. The bosh
// CLI leaves the sources of such packages out of an upload (POST /packages/matches).
type Known func(fingerprint string) (Package, bool)

// Verify reads the release and checks all of it: names, version, digests,
// job specs, packages' dependencies. Nothing has been stored when it returns.
// A nil known knows no package.
func (a *Archive) Verify(ctx context.Context, known Known) (*Release, error) {
	return nil, errors.ErrUnsupported
}

// KeepPackage stores a package that Verify returned.
func (a *Archive) KeepPackage(ctx context.Context, p Package) error { return errors.ErrUnsupported }

// KeepJob stores a job that Verify returned.
func (a *Archive) KeepJob(ctx context.Context, j Job) error { return errors.ErrUnsupported }

// Close removes what was extracted and not kept.
func (a *Archive) Close() error { return nil }

// AddRelease does all steps of an upload at once.
func (s *Store) AddRelease(ctx context.Context, path string, known Known) (*Release, error) {
	return nil, errors.ErrUnsupported
}

// VerifyDigest checks a file against a digest as BOSH writes it ("…" or
// "sha1:…" for SHA-1, "sha256:…", "sha512:…", several joined by ";").
func VerifyDigest(path, digest string) error { return errors.ErrUnsupported }
