package release_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release/releasetest"
)

func openStore(t *testing.T) (*release.Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := release.OpenStore(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

// filesIn lists the files of a folder of the store.
func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAddReleaseMadeByBosh(t *testing.T) {
	s, dir := openStore(t)
	tarball := releasetest.Create(t, releasetest.DummyRelease(t), "dummy", "1.2.3")
	rel, err := s.AddRelease(t.Context(), tarball, nil)
	if err != nil {
		t.Fatal(err)
	}
	if rel.Name != "dummy" || rel.Version != "1.2.3" || rel.CommitHash == "" {
		t.Errorf("release is %s/%s of commit %q", rel.Name, rel.Version, rel.CommitHash)
	}
	web, ok := rel.Job("web")
	if !ok {
		t.Fatal("no job web")
	}
	if got, want := web.Templates["web.json.erb"], "config/web.json"; got != want {
		t.Errorf("web.json.erb is rendered to %q, want %q", got, want)
	}
	if got := web.Properties["port"].Default; got != 8080 {
		t.Errorf("default of port is %#v, want int 8080", got)
	}
	if got := web.Properties["password"].Default; got != nil {
		t.Errorf("default of password is %#v, want none", got)
	}
	if got, want := web.Provides, []release.ProvidedLink{{Name: "web", Type: "web", Properties: []string{"port", "greeting"}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("web provides %+v, want %+v", got, want)
	}
	if got, want := web.Consumes, []release.ConsumedLink{{Name: "peers", Type: "web", Optional: true}}; !reflect.DeepEqual(got, want) {
		t.Errorf("web consumes %+v, want %+v", got, want)
	}
	if web.RunsAsErrand() {
		t.Error("web is taken for an errand")
	}
	if smoke, _ := rel.Job("smoke"); !smoke.RunsAsErrand() {
		t.Error("smoke is not taken for an errand")
	}
	hello, _ := rel.Package("hello")
	if !slices.Equal(hello.Dependencies, []string{"base"}) || !s.Has(hello.Blob) || hello.Fingerprint == "" {
		t.Errorf("package hello is %+v", hello)
	}
	source, err := s.JobSource(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source.Monit), "check process web") || len(source.Templates) != len(web.Templates) || len(source.Templates["drain"]) == 0 {
		t.Errorf("job source has monit %q and %d templates", source.Monit, len(source.Templates))
	}
	if left := filesIn(t, filepath.Join(dir, "staging")); len(left) > 0 {
		t.Errorf("left in the staging area: %v", left)
	}
}

func TestReleaseSurvivesJSON(t *testing.T) {
	s, _ := openStore(t)
	rel, err := s.AddRelease(t.Context(), handMade{job: strings.Replace(goodJob, "properties: {}", `properties:
  whole: {default: 1.0, description: a fraction that is whole}
  big: {default: 5432}
  list: {default: [1, 2.50, yes, "yes", 2026-11-22, ~, {a: 0x10}, 1e3, 12:30]}
`, 1)}.write(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(rel)
	if err != nil {
		t.Fatal(err)
	}
	var back release.Release
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*rel, back) {
		t.Errorf("after JSON the release is\n%+v\nwant\n%+v", back, *rel)
	}
	job, _ := back.Job("j")
	want := []any{1, psych.Float(2.5), true, "yes", "2026-11-22", nil, map[string]any{"a": 16}, "1e3", 750}
	if got := job.Properties["list"].Default; !reflect.DeepEqual(got, want) {
		t.Errorf("list is %#v, want %#v", got, want)
	}
	if got := job.Properties["whole"].Default; got != psych.Float(1) {
		t.Errorf("1.0 is %#v", got)
	}
}

// The CLI leaves out the sources of packages that the director says it has.
func TestPackagesTheDirectorHas(t *testing.T) {
	s, _ := openStore(t)
	first, err := s.AddRelease(t.Context(), handMade{}.write(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	known := func(fingerprint string) (release.Package, bool) {
		for _, p := range first.Packages {
			if p.Fingerprint == fingerprint {
				return p, true
			}
		}
		return release.Package{}, false
	}
	without := handMade{version: "2", leaveOut: "packages/p.tgz"}.write(t)
	if _, err := s.AddRelease(t.Context(), without, nil); err == nil || !strings.Contains(err.Error(), "Package 'p' is missing") {
		t.Errorf("a package that nobody has: %v", err)
	}
	second, err := s.AddRelease(t.Context(), without, known)
	if err != nil {
		t.Fatal(err)
	}
	if second.Packages[0].Blob != first.Packages[0].Blob || second.Packages[0].Digest != first.Packages[0].Digest {
		t.Errorf("package is %+v, want that of the first upload %+v", second.Packages[0], first.Packages[0])
	}
}

func TestCancelledUpload(t *testing.T) {
	s, dir := openStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.AddRelease(ctx, handMade{}.write(t), nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
	if left := filesIn(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCollect(t *testing.T) {
	s, dir := openStore(t)
	rel, err := s.AddRelease(t.Context(), handMade{}.write(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Collect(t.Context(), nil, time.Hour); n != 0 || err != nil {
		t.Errorf("young blobs: removed %d, %v", n, err)
	}
	inUse := map[string]bool{rel.Jobs[0].Blob: true}
	if n, err := s.Collect(t.Context(), inUse, 0); n != 1 || err != nil {
		t.Errorf("removed %d, %v; want the package's blob only", n, err)
	}
	if !s.Has(rel.Jobs[0].Blob) || s.Has(rel.Packages[0].Blob) {
		t.Errorf("left: %v", filesIn(t, dir))
	}
}

func TestDamagedJobBlob(t *testing.T) {
	s, _ := openStore(t)
	rel, err := s.AddRelease(t.Context(), handMade{}.write(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	path, err := s.Path(rel.Jobs[0].Blob)
	if err != nil {
		t.Fatal(err)
	}
	other := releasetest.Tarball(t, releasetest.Entry{Name: "job.MF", Body: goodJob}, releasetest.Entry{Name: "monit", Body: "other"})
	if err := os.WriteFile(path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.JobSource(t.Context(), rel.Jobs[0]); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("error is %v", err)
	}
	if _, err := s.AddRelease(t.Context(), handMade{}.write(t), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.JobSource(t.Context(), rel.Jobs[0]); err != nil {
		t.Errorf("after a second upload: %v", err)
	}
}

func TestBlobNames(t *testing.T) {
	s, _ := openStore(t)
	for _, name := range []string{"", "../../etc/passwd", strings.Repeat("a", 63), strings.Repeat("A", 64), strings.Repeat("a", 64)} {
		if _, err := s.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %q: %v, want fs.ErrNotExist", name, err)
		}
	}
}
