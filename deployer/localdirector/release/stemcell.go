package release

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"
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
	dir, err := s.extract(ctx, path, stemcellLimits, func(name string) bool { return name == "stemcell.MF" || name == "image" })
	if err != nil {
		return nil, asFault(err, CodeStemcellInvalidArchive, "Extracting stemcell archive failed")
	}
	a := &StemcellArchive{ImagePath: filepath.Join(dir, "image"), dir: dir}
	if err := a.verify(ctx); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *StemcellArchive) verify(ctx context.Context) error {
	manifest := filepath.Join(a.dir, "stemcell.MF")
	info, err := os.Stat(manifest)
	if errors.Is(err, os.ErrNotExist) || err == nil && info.Size() > manifestLimit {
		return faultf(CodeStemcellInvalidArchive, "Stemcell manifest not found or too large")
	}
	if err != nil {
		return err
	}
	text, err := os.ReadFile(manifest)
	if err != nil {
		return err
	}
	if a.Stemcell, err = readStemcell(text); err != nil {
		return err
	}
	if _, err := os.Stat(a.ImagePath); errors.Is(err, os.ErrNotExist) {
		return faultf(CodeStemcellImageMissing, "Stemcell image not found")
	}
	return within(VerifyDigest(ctx, a.ImagePath, a.Stemcell.Digest, CodeStemcellDigestMismatch), "Stemcell image")
}

func readStemcell(text []byte) (Stemcell, error) {
	var m struct {
		Name            string    `yaml:"name"`
		Version         string    `yaml:"version"`
		OperatingSystem string    `yaml:"operating_system"`
		APIVersion      int       `yaml:"api_version"`
		SHA1            string    `yaml:"sha1"`
		Formats         []string  `yaml:"stemcell_formats"`
		CloudProperties yaml.Node `yaml:"cloud_properties"`
	}
	if err := yaml.Unmarshal(text, &m); err != nil {
		return Stemcell{}, faultf(CodeStemcellInvalidArchive, "Stemcell manifest is not valid: %s", err)
	}
	for field, value := range map[string]string{"name": m.Name, "version": m.Version, "sha1": m.SHA1} {
		if value == "" {
			return Stemcell{}, faultf(CodeStemcellInvalidArchive, "Required property '%s' was not specified in the stemcell manifest", field)
		}
	}
	if !validName.MatchString(m.Name) {
		return Stemcell{}, faultf(CodeStemcellInvalidArchive, "Stemcell name invalid: %q", m.Name)
	}
	version, err := ParseVersion(m.Version)
	if err != nil {
		return Stemcell{}, faultf(CodeStemcellInvalidArchive, "Stemcell version invalid: %s", m.Version)
	}
	if m.OperatingSystem == "" {
		m.OperatingSystem = m.Name
	}
	tree, err := plain(&m.CloudProperties)
	properties, isHash := tree.(map[string]any)
	if err != nil || tree != nil && !isHash {
		return Stemcell{}, faultf(CodeStemcellInvalidArchive, "Property 'cloud_properties' of the stemcell manifest must be a hash")
	}
	return Stemcell{
		Name: m.Name, Version: version, OperatingSystem: m.OperatingSystem, APIVersion: m.APIVersion,
		Digest: m.SHA1, Formats: m.Formats, CloudProperties: properties,
	}, nil
}

// Close removes what was extracted.
func (a *StemcellArchive) Close() error {
	if err := os.RemoveAll(a.dir); err != nil {
		return fmt.Errorf("remove extracted stemcell: %w", err)
	}
	return nil
}
