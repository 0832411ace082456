// Package releasetest makes release tarballs for tests: real ones with the
// stock bosh CLI from a release's folder, and hand-made ones that no tool
// would make. Tests of the local director's packages use it.
package releasetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BoshCLI returns the path of the stock bosh CLI, which is built first when it is
// not in the cache yet.
func BoshCLI(t testing.TB) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(moduleRoot(t), "scripts", "tools.sh"), "bosh").Output()
	if err != nil {
		t.Fatalf("build the bosh CLI: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func moduleRoot(t testing.TB) string {
	t.Helper()
	file, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("find the module's folder: %v", err)
	}
	return filepath.Dir(strings.TrimSpace(string(file)))
}

// DummyRelease is the folder of the release that the director's tests deploy.
func DummyRelease(t testing.TB) string {
	t.Helper()
	return filepath.Join(moduleRoot(t), "deployer", "localdirector", "testdata", "dummyrelease")
}

// Create builds the release in dir with the bosh CLI, on a copy, and returns the tarball's path.
func Create(t testing.TB, dir, name, version string) string {
	t.Helper()
	work := t.TempDir()
	src := filepath.Join(work, "release")
	if err := os.CopyFS(src, os.DirFS(dir)); err != nil {
		t.Fatalf("copy release: %v", err)
	}
	tarball := filepath.Join(work, name+"-"+version+".tgz")
	cmd := exec.Command(BoshCLI(t), "--non-interactive", "create-release", "--force", "--dir", src, "--name", name, "--version", version, "--tarball", tarball)
	cmd.Env = append(os.Environ(), "HOME="+work)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("bosh create-release: %v\n%s", err, out)
	}
	return tarball
}

// Entry is an entry of a hand-made tarball: a file unless Header says otherwise.
type Entry struct {
	Name   string
	Body   string
	Header tar.Header
}

// Tarball returns a gzipped tarball of the entries, whatever they are.
func Tarball(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	zipped := gzip.NewWriter(&buf)
	archive := tar.NewWriter(zipped)
	for _, e := range entries {
		h := e.Header
		h.Name = e.Name
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		h.Mode, h.Size = 0o644, int64(len(e.Body))
		if err := archive.WriteHeader(&h); err != nil {
			t.Fatalf("make tarball: %v", err)
		}
		if _, err := archive.Write([]byte(e.Body)); err != nil {
			t.Fatalf("make tarball: %v", err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatalf("make tarball: %v", err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatalf("make tarball: %v", err)
	}
	return buf.Bytes()
}
