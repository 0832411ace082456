package release

import (
	"context"
	"errors"
)

// Stemcell is the content of a stemcell.MF.
type Stemcell struct {
	Name            string         `json:"name"`
	Version         string         `json:"version"`
	OperatingSystem string         `json:"operating_system"` // the name when the manifest has none
	APIVersion      int            `json:"api_version"`
	Digest          string         `json:"sha1"` // of the image
	Formats         []string       `json:"stemcell_formats"`
	CloudProperties map[string]any `json:"cloud_properties"`
}

// StemcellArchive is an uploaded stemcell tarball, extracted into the store's
// staging area.
type StemcellArchive struct {
	Stemcell  Stemcell
	ImagePath string // the image, a tarball of a root file system; gone after Close
	dir       string
}

// ExtractStemcell extracts the tarball at path, which stays the caller's, and
// verifies its manifest and the image's digest.
func (s *Store) ExtractStemcell(ctx context.Context, path string) (*StemcellArchive, error) {
	return nil, errors.ErrUnsupported
}

// Close removes what was extracted.
func (a *StemcellArchive) Close() error { return nil }
