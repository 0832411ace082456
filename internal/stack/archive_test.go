package stack

import (
	"archive/tar"
	"compress/gzip"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func tarball(t *testing.T, files map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.tgz")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	zipped := gzip.NewWriter(file)
	archive := tar.NewWriter(zipped)
	for name, content := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	for _, close := range []func() error{archive.Close, zipped.Close, file.Close} {
		if err := close(); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestIdentityOfATarball(t *testing.T) {
	for _, member := range []string{"release.MF", "./release.MF"} {
		got, err := readIdentity(tarball(t, map[string]string{"jobs/x.tgz": "x", member: "name: r\nversion: '1.10'\n"}), "release.MF")
		if err != nil || got != (identity{"r", "1.10"}) {
			t.Errorf("%s: got %+v, %v", member, got, err)
		}
	}
	text := filepath.Join(t.TempDir(), "text.tgz")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		tarball(t, map[string]string{"other": "x"}):                                     "no such file in the tarball",
		tarball(t, map[string]string{"release.MF": "{"}):                                "yaml",
		tarball(t, map[string]string{"release.MF": strings.Repeat(" ", maxManifest+1)}): "larger than",
		text:              "read release.MF",
		"/does/not/exist": "no such file",
	} {
		if _, err := readIdentity(path, "release.MF"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestWhatIsMissingIsSaidBeforeTheStart(t *testing.T) {
	if os.Geteuid() != 0 {
		if err := (Config{}).Check(); err == nil || !strings.Contains(err.Error(), "run it as root") {
			t.Errorf("as another user: got %v", err)
		}
		return
	}
	stemcell := tarball(t, map[string]string{"stemcell.MF": "name: s\nversion: '1'\n"})
	release := tarball(t, map[string]string{"release.MF": "name: r\nversion: '1'\n"})
	folder := Folder(filepath.Join(t.TempDir(), "stack"))
	for want, config := range map[string]Config{
		"--stemcell: a new stack needs": {Release: release},
		"--release: a new stack needs":  {Stemcell: stemcell},
		"--release: read release.MF":    {Stemcell: stemcell, Release: stemcell},
		"--stemcell: read stemcell.MF":  {Stemcell: "/does/not/exist", Release: release},
	} {
		config.Folder = folder
		if err := config.Check(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := (Config{Folder: folder, Stemcell: stemcell, Release: release}).Check(); err != nil {
		t.Errorf("both there: %v", err)
	}
	if _, err := os.Stat(string(folder)); err == nil {
		t.Error("the check made the folder")
	}
	if err := writeJSON(folder.settingsFile(), settings{}); err != nil {
		t.Fatal(err)
	}
	if err := (Config{Folder: folder}).Check(); err != nil {
		t.Errorf("a stack that was started before: %v", err)
	}
}

func TestCloudConfigWantsRoom(t *testing.T) {
	config, err := cloudConfig(netip.MustParsePrefix("10.250.16.0/20"))
	if err != nil {
		t.Fatal(err)
	}
	subnet := config["networks"].([]any)[0].(map[string]any)["subnets"].([]any)[0].(map[string]any)
	if subnet["range"] != "10.250.16.0/22" || subnet["gateway"] != "10.250.16.1" {
		t.Errorf("subnet %v", subnet)
	}
	if _, err := cloudConfig(netip.MustParsePrefix("10.250.16.0/24")); err == nil {
		t.Error("a /24 is taken")
	}
}
