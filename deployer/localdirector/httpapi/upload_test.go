package httpapi_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/httpapi"
)

var tarballHeader = map[string]string{"Content-Type": "application/x-compressed"}

func TestUploads(t *testing.T) {
	f := newFixture(t)
	f.task(f.do("POST", "/releases?fix=true", tarballHeader, "bytes of a release"))
	if got := f.work.last(); got != (tarball{"release", "bytes of a release", true}) {
		t.Errorf("release: got %+v", got)
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	f.check(w.WriteField("other", "field"))
	part, err := w.CreateFormFile("nginx_upload_path", "stemcell.tgz")
	f.check(err)
	fmt.Fprint(part, "bytes of a stemcell")
	f.check(w.Close())
	f.task(f.do("POST", "/stemcells", map[string]string{"Content-Type": w.FormDataContentType()}, form.String()))
	if got := f.work.last(); got != (tarball{"stemcell", "bytes of a stemcell", false}) {
		t.Errorf("stemcell: got %+v", got)
	}
	f.nothingLeft()
}

// nothingLeft checks that no half received file stays behind.
func (f *fixture) nothingLeft() {
	f.t.Helper()
	files, err := os.ReadDir(f.uploads)
	if err != nil || len(files) != 0 {
		f.t.Errorf("left in the folder of uploads: %v, %v", files, err)
	}
}

func TestUploadsThatAreRefused(t *testing.T) {
	f := newFixture(t, func(c *httpapi.Config) { c.MaxUpload = 1000 })
	if got := f.do("POST", "/releases", tarballHeader, strings.Repeat("x", 1001)); got.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: got %d %s", got.StatusCode, got.body)
	}
	if got := f.do("POST", "/releases?rebase=true", tarballHeader, "x"); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, "does not rebase") {
		t.Errorf("rebase: got %d %s", got.StatusCode, got.body)
	}
	if got := f.do("POST", "/releases", map[string]string{"Content-Type": "multipart/form-data; boundary=b"}, "--b--\r\n"); got.StatusCode != http.StatusBadRequest {
		t.Errorf("form without a file: got %d %s", got.StatusCode, got.body)
	}
	if got := f.do("POST", "/stemcells", asJSON, `{"location":"https://x/y.tgz"}`); strings.Contains(got.body, "x/y") || got.StatusCode != http.StatusBadRequest {
		t.Errorf("remote: got %d %s", got.StatusCode, got.body)
	}
	f.check(f.queue.Close(t.Context()))
	if got := f.do("POST", "/releases", tarballHeader, "x"); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("while stopping: got %d", got.StatusCode)
	}
	f.nothingLeft()
	if got := f.do("GET", "/tasks?verbose=2", nil, ""); got.body != "[]" {
		t.Errorf("tasks: got %s, want none", got.body)
	}
}

// TestUploadThatBreaksOff sends half of what it announces.
func TestUploadThatBreaksOff(t *testing.T) {
	f := newFixture(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	f.check(err)
	fmt.Fprintf(conn, "POST /releases HTTP/1.1\r\nHost: d\r\nAuthorization: Basic YWRtaW46Y29ycmVjdCBob3JzZQ==\r\nContent-Type: application/x-compressed\r\nContent-Length: 100\r\n\r\nhalf")
	f.check(conn.(*net.TCPConn).CloseWrite())
	f.check(conn.SetReadDeadline(time.Now().Add(10 * time.Second)))
	answer := make([]byte, 4096)
	n, err := conn.Read(answer)
	f.check(err)
	if got := string(answer[:n]); !strings.Contains(got, "400 Bad Request") || !strings.Contains(got, "ended before") {
		t.Errorf("got %s", got)
	}
	f.check(conn.Close())
	f.nothingLeft()
}

func TestMatchingPackages(t *testing.T) {
	f := newFixture(t)
	f.seed()
	for body, want := range map[string]string{
		"name: hello\npackages:\n- {name: hello, fingerprint: p1}\n- {name: other, fingerprint: p9}\n- {name: again, fingerprint: p1}\n": `["p1"]`,
		"packages: []": `[]`,
	} {
		if got := f.do("POST", "/packages/matches", yaml, body); got.body != want || got.StatusCode != http.StatusOK {
			t.Errorf("%q: got %d %s, want %s", body, got.StatusCode, got.body, want)
		}
	}
	if got := f.do("POST", "/packages/matches_compiled", yaml, "compiled_packages: [{fingerprint: p1}]"); got.body != "[]" {
		t.Errorf("compiled: got %s", got.body)
	}
	for _, body := range []string{"", "x: 1", "[", "packages: 7"} {
		if got := f.do("POST", "/packages/matches", yaml, body); got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, `"code":440001`) {
			t.Errorf("%q: got %d %s", body, got.StatusCode, got.body)
		}
	}
}
