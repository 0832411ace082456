package boshrelease_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// buildRelease runs build.sh with additional environment and returns the tarball.
func buildRelease(environment ...string) (string, error) {
	cmd := exec.Command("./build.sh")
	cmd.Env = append(os.Environ(), environment...)
	return lastLine(cmd)
}

// lastLine runs a build script, which prints the path of what it made.
func lastLine(cmd *exec.Cmd) (string, error) {
	var progress strings.Builder
	cmd.Stderr = &progress
	out, err := cmd.Output()
	if err != nil {
		return "", errors.New(cmd.String() + ": " + err.Error() + "\n" + progress.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func cacheDir() string {
	if dir := os.Getenv("HOLDFAST_CACHE"); dir != "" {
		return dir
	}
	return filepath.Join(os.Getenv("HOME"), ".cache", "holdfast")
}

// built is the release as it is in the tree, read once for all tests.
var built = sync.OnceValues(func() (*storedRelease, error) {
	tarball, err := buildRelease()
	if err != nil {
		return nil, err
	}
	return readRelease(context.Background(), tarball, filepath.Join(workspace, "store"))
})

// storedRelease is a release and the store that holds its parts.
type storedRelease struct {
	*release.Release
	*release.Store
}

func readRelease(ctx context.Context, tarball, dir string) (*storedRelease, error) {
	store, err := release.OpenStore(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	rel, err := store.AddRelease(ctx, tarball, nil)
	return &storedRelease{rel, store}, err
}

func theRelease(t *testing.T) *storedRelease {
	t.Helper()
	rel, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

func thePackage(t *testing.T, rel *storedRelease, name string) release.Package {
	t.Helper()
	pkg, ok := rel.Package(name)
	if !ok {
		t.Fatalf("the release has no package %s", name)
	}
	return pkg
}

// A build in another folder, at another time, gives the same version and the same
// fingerprints, so that directors recognise what they have compiled.
func TestAnUnchangedTreeYieldsTheSameRelease(t *testing.T) {
	first := theRelease(t)
	cache := t.TempDir()
	linkDownloads(t, cache)
	second := buildIn(t, cache)
	if first.Version != second.Version {
		t.Errorf("got versions %s and %s", first.Version, second.Version)
	}
	for i := range first.Packages {
		if a, b := first.Packages[i].Fingerprint, second.Packages[i].Fingerprint; a != b {
			t.Errorf("got fingerprints %s and %s of package %s", a, b, first.Packages[i].Name)
		}
	}
	for i := range first.Jobs {
		if a, b := first.Jobs[i].Fingerprint, second.Jobs[i].Fingerprint; a != b {
			t.Errorf("got fingerprints %s and %s of job %s", a, b, first.Jobs[i].Name)
		}
	}
}

// buildIn builds with another cache, but with the Consul and the pgkeeper that are there.
func buildIn(t *testing.T, cache string) *storedRelease {
	t.Helper()
	consul, err := lastLine(exec.Command("./consul.sh"))
	if err != nil {
		t.Fatal(err)
	}
	tarball, err := buildRelease("HOLDFAST_CACHE="+cache, "CONSUL="+consul, "PGKEEPER="+filepath.Join(compiledPackage(t, "pgkeeper"), "bin", "pgkeeper"))
	if err != nil {
		t.Fatal(err)
	}
	rel, err := readRelease(t.Context(), tarball, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

// A cache from long ago names versions that mirrors have dropped since, and
// holds a file that was cut short: both are replaced.
func TestAStaleCacheIsRenewed(t *testing.T) {
	first := theRelease(t)
	cache := t.TempDir()
	linkDownloads(t, cache)
	lists, _ := filepath.Glob(filepath.Join(cache, "release", "debian-*.list"))
	libpq, _ := filepath.Glob(filepath.Join(cache, "release", "debs", "libpq5_*.deb"))
	uuid, _ := filepath.Glob(filepath.Join(cache, "release", "debs", "libuuid1_*.deb"))
	if len(lists) == 0 || len(libpq) != 1 || len(uuid) != 1 {
		t.Fatalf("got lists %q, packages %q, %q", lists, libpq, uuid)
	}
	for _, path := range lists { // one for each set of packages that was built lately
		list, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		old := regexp.MustCompile(`libpq5_\S+_`).ReplaceAll(list, []byte("libpq5_15.0-0_"))
		if err := os.WriteFile(path, old, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Remove(libpq[0]), os.Truncate(uuid[0], 100)); err != nil {
		t.Fatal(err)
	}
	second := buildIn(t, cache)
	if first.Version != second.Version {
		t.Errorf("got version %s, want %s", second.Version, first.Version)
	}
}

// linkDownloads spares the other cache the download, not the build.
func linkDownloads(t *testing.T, cache string) {
	t.Helper()
	from, to := filepath.Join(cacheDir(), "release"), filepath.Join(cache, "release")
	if err := os.MkdirAll(filepath.Join(to, "debs"), 0o755); err != nil {
		t.Fatal(err)
	}
	lists, _ := filepath.Glob(filepath.Join(from, "debian-*.list"))
	debs, _ := filepath.Glob(filepath.Join(from, "debs", "*.deb"))
	for _, path := range append(lists, debs...) {
		name, err := filepath.Rel(from, path)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), content, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheBuildLeavesTheTreeClean(t *testing.T) {
	theRelease(t)
	for _, name := range []string{".dev_builds", "dev_releases", "blobs", ".blobs", "blobstore", "config/blobs.yml", "config/private.yml"} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v, want that it does not exist", name, err)
		}
	}
}

// Blobs are Debian's own files: whoever audits a release can check them against Debian's index.
func TestThePackageHoldsTheListedDebianPackages(t *testing.T) {
	rel := theRelease(t)
	blob, err := rel.Open(thePackage(t, rel, "postgresql-15").Blob)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	got := map[string]bool{}
	for _, name := range tarNames(t, blob) {
		if path, ok := strings.CutSuffix(strings.TrimPrefix(name, "./"), ".deb"); ok {
			got[strings.TrimPrefix(path, "debian/")] = true
		}
	}
	list, err := os.ReadFile("packages/postgresql-15/debian.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		want++
		if !got[line] {
			t.Errorf("%s is missing from the package", line)
		}
	}
	if len(got) != want {
		t.Errorf("got %d Debian packages, want %d", len(got), want)
	}
}

func tarNames(t *testing.T, r io.Reader) (names []string) {
	t.Helper()
	plain, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
}
