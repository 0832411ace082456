package stemcell_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// build runs the script and returns the path it prints.
func build(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the stemcell is built as root")
	}
	command := exec.CommandContext(t.Context(), "./build.sh")
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("build.sh: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// walk calls see for each file of a gzipped tar.
func walk(t *testing.T, from io.Reader, see func(*tar.Header, io.Reader)) {
	t.Helper()
	zip, err := gzip.NewReader(from)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(zip)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		see(header, archive)
	}
}

func readAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	raw, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func open(t *testing.T, path string) io.Reader {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return bufio.NewReader(f)
}

func TestTarballIsAStemcell(t *testing.T) {
	tarball := build(t)
	if again := build(t); again != tarball {
		t.Errorf("building again gave %s, not %s", again, tarball)
	}
	var manifest struct {
		Name, Version, SHA1 string
		OperatingSystem     string         `yaml:"operating_system"`
		APIVersion          int            `yaml:"api_version"`
		Formats             []string       `yaml:"stemcell_formats"`
		CloudProperties     map[string]any `yaml:"cloud_properties"`
	}
	var order []string
	sum := ""
	walk(t, open(t, tarball), func(h *tar.Header, r io.Reader) {
		order = append(order, h.Name)
		switch h.Name {
		case "stemcell.MF":
			if err := yaml.Unmarshal(readAll(t, r), &manifest); err != nil {
				t.Fatal(err)
			}
		case "image":
			sum = fmt.Sprintf("%x", sha1.Sum(readAll(t, r)))
		}
	})
	if got := strings.Join(order, " "); got != "stemcell.MF packages.txt image" {
		t.Errorf("the tarball holds %s", got)
	}
	if manifest.SHA1 != sum {
		t.Errorf("the manifest's sha1 is %s, the image's %s", manifest.SHA1, sum)
	}
	if manifest.Name != "holdfast-local-debian-bookworm-go_agent" || manifest.OperatingSystem != "debian-bookworm" || manifest.APIVersion != 3 ||
		len(manifest.Formats) == 0 || !regexp.MustCompile(`^1\.[0-9]{10}$`).MatchString(manifest.Version) || manifest.CloudProperties["name"] != manifest.Name {
		t.Errorf("manifest: %+v", manifest)
	}
}

func TestImageHasWhatVMsNeedAndNothingOfThisMachine(t *testing.T) {
	var image []byte
	walk(t, open(t, build(t)), func(h *tar.Header, r io.Reader) {
		if h.Name == "image" {
			image = readAll(t, r)
		}
	})
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]*tar.Header{}
	small := map[string]string{}
	walk(t, bytes.NewReader(image), func(h *tar.Header, r io.Reader) {
		name := path.Clean("/" + h.Name)
		files[name] = h
		if h.Typeflag == tar.TypeBlock || h.Typeflag == tar.TypeChar {
			t.Errorf("%s is a device", name)
		}
		if h.Typeflag == tar.TypeReg && h.Size < 64<<10 && (strings.HasPrefix(name, "/etc/") || strings.HasPrefix(name, "/var/vcap/")) {
			small[name] = string(readAll(t, r))
		}
	})
	for _, name := range []string{"gzip", "chown"} {
		if link := files["/var/vcap/bosh/agent-bin/"+name]; link == nil || files[link.Linkname] == nil {
			t.Errorf("the agent would not run what /var/vcap/bosh/agent-bin/%s names: %+v", name, link)
		}
	}
	for _, name := range []string{
		"/usr/sbin/init", "/usr/bin/tini", "/usr/bin/monit", "/usr/bin/sv", "/var/vcap/bosh/bin/bosh-agent", "/var/vcap/bosh/bin/monitbridge",
		"/usr/bin/dpkg-deb", "/usr/bin/xz", "/usr/bin/bash", "/usr/share/zoneinfo/Europe/Berlin", "/usr/sbin/ip", "/etc/ssl/certs/ca-certificates.crt", "/home/vcap",
	} {
		if files[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	if !strings.Contains(small["/etc/passwd"], "\nvcap:x:1000:1000:") {
		t.Errorf("user vcap is missing: %s", small["/etc/passwd"])
	}
	for _, empty := range []string{"/etc/resolv.conf", "/etc/apt/sources.list"} {
		if h := files[empty]; h == nil || h.Size != 0 {
			t.Errorf("%s is not empty", empty)
		}
	}
	for _, absent := range []string{"/etc/machine-id", "/etc/hostname", "/etc/hosts", "/etc/apt/apt.conf.d/00build", "/usr/sbin/policy-rc.d"} {
		if files[absent] != nil {
			t.Errorf("%s came from the build", absent)
		}
	}
	for name, content := range small {
		if len(hostname) > 3 && strings.Contains(content, hostname) {
			t.Errorf("%s names this machine", name)
		}
		if strings.Contains(content, "PRIVATE KEY") {
			t.Errorf("%s holds a private key", name)
		}
		if strings.HasPrefix(name, "/etc/apt") && regexp.MustCompile(`https?://`).MatchString(content) {
			t.Errorf("%s names a host: %s", name, content)
		}
	}
}
