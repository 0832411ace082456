package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release/releasetest"
)

// TestLikeTheStockCLI: the same manifest, but for the digests of archives, which
// hold times, and the same files.
func TestLikeTheStockCLI(t *testing.T) {
	ours := filepath.Join(t.TempDir(), "dummy.tgz")
	if err := create(releasetest.DummyRelease(t), "dummy", "1.2.3", ours); err != nil {
		t.Fatal(err)
	}
	got, gotManifest := read(t, ours)
	want, wantManifest := read(t, releasetest.Create(t, releasetest.DummyRelease(t), "dummy", "1.2.3"))
	if len(want) < 3 || !reflect.DeepEqual(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if !reflect.DeepEqual(gotManifest, wantManifest) {
		t.Errorf("manifest\n%v, want\n%v", gotManifest, wantManifest)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(ours), "archives-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestWhatIsMissing(t *testing.T) {
	tarball := filepath.Join(t.TempDir(), "x.tgz")
	if err := create("", "n", "1", tarball); err == nil || !strings.Contains(err.Error(), "-dir") {
		t.Errorf("no folder: %v", err)
	}
	if err := create(filepath.Join(t.TempDir(), "none"), "n", "1", tarball); err == nil {
		t.Error("a folder that does not exist makes a release")
	}
	if _, err := os.Stat(tarball); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

// read returns the names of the files of a tarball, and its manifest without the
// archives' digests.
func read(t *testing.T, tarball string) (names []string, manifest map[string]any) {
	t.Helper()
	f, err := os.Open(tarball)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(unzipped); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		if header.Name == "release.MF" {
			if err := yaml.NewDecoder(r).Decode(&manifest); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, kind := range []string{"jobs", "packages"} {
		list, _ := manifest[kind].([]any)
		for _, one := range list {
			delete(one.(map[string]any), "sha1")
		}
	}
	return names, manifest
}
