package release_test

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release/releasetest"
)

const goodStemcell = `name: holdfast-local-debian-12
version: "1.10"
api_version: 3
operating_system: debian-12
sha1: SHA
stemcell_formats: [holdfast-local]
cloud_properties: {name: n, disk: 1024}
`

func stemcell(t *testing.T, manifest, image string) string {
	t.Helper()
	sum := fmt.Sprintf("%x", sha1.Sum([]byte("image")))
	entries := []releasetest.Entry{{Name: "./stemcell.MF", Body: strings.Replace(manifest, "SHA", sum, 1)}, {Name: "./packages.txt", Body: "x"}}
	if image != "" {
		entries = append(entries, releasetest.Entry{Name: "./image", Body: image})
	}
	return writeFile(t, releasetest.Tarball(t, entries...))
}

func TestExtractStemcell(t *testing.T) {
	s, dir := openStore(t)
	a, err := s.ExtractStemcell(t.Context(), stemcell(t, goodStemcell, "image"))
	if err != nil {
		t.Fatal(err)
	}
	want := release.Stemcell{Name: "holdfast-local-debian-12", Version: "1.10", OperatingSystem: "debian-12", APIVersion: 3,
		Digest: fmt.Sprintf("%x", sha1.Sum([]byte("image"))), Formats: []string{"holdfast-local"}, CloudProperties: map[string]any{"name": "n", "disk": 1024}}
	if !reflect.DeepEqual(a.Stemcell, want) {
		t.Errorf("stemcell is %+v, want %+v", a.Stemcell, want)
	}
	if text, err := os.ReadFile(a.ImagePath); string(text) != "image" || err != nil {
		t.Errorf("image is %q, %v", text, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if left := filesIn(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestStemcellsThatAreRefused(t *testing.T) {
	without := func(line string) string { return strings.Replace(goodStemcell, line, "", 1) }
	tests := map[string]struct {
		tarball string
		code    int
		message string
	}{
		"not a tarball":    {writeFile(t, []byte("x")), 50000, "not a gzipped tarball"},
		"no manifest":      {writeFile(t, releasetest.Tarball(t, releasetest.Entry{Name: "image"})), 50000, "manifest not found"},
		"no image":         {stemcell(t, goodStemcell, ""), 50001, "Stemcell image not found"},
		"other image":      {stemcell(t, goodStemcell, "imago"), 50007, "Stemcell image: Expected stream"},
		"no version":       {stemcell(t, without("version: \"1.10\"\n"), "image"), 50000, "'version'"},
		"no digest":        {stemcell(t, without("sha1: SHA\n"), "image"), 50000, "'sha1'"},
		"properties":       {stemcell(t, strings.Replace(goodStemcell, "{name: n, disk: 1024}", "7", 1), "image"), 50000, "'cloud_properties'"},
		"image is a link":  {writeFile(t, releasetest.Tarball(t, releasetest.Entry{Name: "stemcell.MF", Body: goodStemcell}, link("image", "/dev/sda"))), 50000, "is a link"},
		"name with a path": {stemcell(t, strings.Replace(goodStemcell, "holdfast-local-debian-12", "../x", 1), "image"), 50000, "name invalid"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s, dir := openStore(t)
			_, err := s.ExtractStemcell(t.Context(), tc.tarball)
			var fault *release.Error
			if !errors.As(err, &fault) || fault.Code != tc.code || !strings.Contains(fault.Message, tc.message) {
				t.Errorf("error is %v, want %d %q", err, tc.code, tc.message)
			}
			if left := filesIn(t, dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
