package upload_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release/releasetest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/upload"
)

// images is a host that names images by their content.
type images struct {
	imported, deleted []string
	inUse             bool
}

func (h *images) ImportStemcell(_ context.Context, path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	cid := "stemcell-" + string(content)
	h.imported = append(h.imported, cid)
	return cid, nil
}

func (h *images) DeleteStemcell(_ context.Context, cid string) error {
	if h.inUse {
		return errors.New("a VM runs on it")
	}
	h.deleted = append(h.deleted, cid)
	return nil
}

type fixture struct {
	*upload.Uploads
	t     *testing.T
	db    *db.DB
	store *release.Store
	queue *task.Queue
	host  *images
	dir   string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	d, err := db.Open(t.Context(), filepath.Join(dir, "director.db"))
	if err != nil {
		t.Fatal(err)
	}
	store, err := release.OpenStore(filepath.Join(dir, "blobs"), log)
	if err != nil {
		t.Fatal(err)
	}
	q, err := task.Open(t.Context(), task.Config{DB: d, Dir: filepath.Join(dir, "tasks"), Log: log, LockTimeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	q.Start()
	t.Cleanup(func() {
		if err := errors.Join(q.Close(context.Background()), d.Close()); err != nil {
			t.Error(err)
		}
	})
	host := &images{}
	return &fixture{Uploads: upload.New(d, store, host), t: t, db: d, store: store, queue: q, host: host, dir: dir}
}

// run runs f as a task and returns how it ended and its events.
func (f *fixture) run(do task.Func) (ended db.Task, events string) {
	f.t.Helper()
	done := make(chan struct{})
	id, err := f.queue.Enqueue(f.t.Context(), task.Request{User: "admin"}, func(ctx context.Context, run *task.Run) (string, error) {
		defer close(done)
		return do(ctx, run)
	})
	f.check(err)
	<-done
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		ended, err = f.db.Task(f.t.Context(), id)
		f.check(err)
		if !task.Unfinished(ended.State) {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			f.t.Fatalf("task %d is still %s", id, ended.State)
		}
	}
	out, err := f.queue.Output(id, task.OutputEvent)
	f.check(err)
	defer out.Close()
	text, err := io.ReadAll(out)
	f.check(err)
	return ended, string(text)
}

func (f *fixture) check(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// copyOf is the path of a copy, for a task that removes what it is given.
func (f *fixture) copyOf(path string) string {
	f.t.Helper()
	content, err := os.ReadFile(path)
	f.check(err)
	return f.file(content)
}

func (f *fixture) file(content []byte) string {
	f.t.Helper()
	file, err := os.CreateTemp(f.dir, "upload-")
	f.check(err)
	_, err = io.Copy(file, bytes.NewReader(content))
	f.check(errors.Join(err, file.Close()))
	return file.Name()
}

// gone checks that a task removed its tarball.
func (f *fixture) gone(path string) {
	f.t.Helper()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		f.t.Errorf("the tarball %s is still there (%v)", path, err)
	}
}

func (f *fixture) createRelease(path string, fix bool) (db.Task, string) {
	f.t.Helper()
	given := f.copyOf(path)
	defer f.gone(given)
	return f.run(func(ctx context.Context, run *task.Run) (string, error) { return f.CreateRelease(ctx, run, given, fix) })
}

func TestCreateAndDeleteARelease(t *testing.T) {
	f := newFixture(t)
	tarball := releasetest.Create(t, releasetest.DummyRelease(t), "dummy", "1")
	ended, events := f.createRelease(tarball, false)
	if ended.State != task.StateDone || ended.Result != "Created release 'dummy/1'" {
		t.Fatalf("got %+v\n%s", ended, events)
	}
	for _, want := range []string{
		`"stage":"Extracting release","tags":[],"total":1,"task":"Extracting release"`, `"stage":"Verifying manifest"`,
		`"stage":"Creating new packages","tags":[],"total":2,"task":"base/`, `"stage":"Creating new jobs","tags":[],"total":2,"task":"smoke/`,
		`"stage":"Release has been created","tags":[],"total":1,"task":"dummy/1"`,
	} {
		if !strings.Contains(events, want) {
			t.Errorf("events: got\n%s\nwant %s", events, want)
		}
	}
	kept, err := f.db.Release(t.Context(), "dummy", "1")
	f.check(err)
	for _, p := range kept.Packages {
		if !f.store.Has(p.Blob) {
			t.Errorf("package %s has no blob", p.Name)
		}
	}

	_, events = f.createRelease(tarball, false)
	if !strings.Contains(events, `"stage":"Processing 2 existing packages"`) || strings.Contains(events, "Creating new packages") {
		t.Errorf("again: got\n%s", events)
	}
	if _, events = f.createRelease(tarball, true); !strings.Contains(events, "Creating new packages") {
		t.Errorf("with fix: got\n%s", events)
	}

	_, err = f.db.EnsureDeployment(t.Context(), "demo", nil)
	f.check(err)
	f.check(f.db.SaveDeployment(t.Context(), db.Deployment{Name: "demo", Releases: []db.NameVersion{{Name: "dummy", Version: "1"}}}))
	for version, want := range map[string]string{
		"1": `"code":30008,"message":"ReleaseVersion 'dummy/1' is still in use by: demo"`,
		"":  `"code":30007,"message":"Release 'dummy' is still in use by: demo"`,
		"2": `"code":30006,"message":"Release version 'dummy/2' doesn't exist"`,
	} {
		if ended, events := f.deleteRelease("dummy", version); ended.State != task.StateError || !strings.Contains(events, want) {
			t.Errorf("delete %q: got %+v %s, want %s", version, ended, events, want)
		}
	}
	f.check(f.db.DeleteDeployment(t.Context(), "demo"))
	if ended, events := f.deleteRelease("dummy", ""); ended.State != task.StateDone || ended.Result != "/release/dummy" {
		t.Errorf("delete: got %+v %s", ended, events)
	}
	if _, err := f.db.Release(t.Context(), "dummy", "1"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("after the deletion: got %v", err)
	}
	if _, events := f.deleteRelease("dummy", ""); !strings.Contains(events, `"code":30005`) {
		t.Errorf("delete again: got %s", events)
	}
}

func (f *fixture) deleteRelease(name, version string) (db.Task, string) {
	f.t.Helper()
	return f.run(func(ctx context.Context, run *task.Run) (string, error) {
		return f.DeleteRelease(ctx, run, name, version)
	})
}

func TestAnotherContentUnderTheSameVersionIsRefused(t *testing.T) {
	cases := map[string]struct {
		change func(*release.Release)
		want   string
	}{
		"commit":  {func(r *release.Release) { r.CommitHash = "other" }, `"code":30014`},
		"package": {func(r *release.Release) { r.Packages[0].Fingerprint = "other" }, `"code":30001`},
		"job":     {func(r *release.Release) { r.Jobs[0].Fingerprint = "other" }, `"code":30013`},
	}
	tarball := releasetest.Create(t, releasetest.DummyRelease(t), "dummy", "1")
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.createRelease(tarball, false)
			earlier, err := f.db.Release(t.Context(), "dummy", "1")
			f.check(err)
			c.change(&earlier)
			f.check(f.db.PutRelease(t.Context(), earlier))
			if ended, events := f.createRelease(tarball, false); ended.State != task.StateError || !strings.Contains(events, c.want) {
				t.Errorf("got %+v %s, want %s", ended, events, c.want)
			}
		})
	}
}

func TestUploadsThatAreNoTarballs(t *testing.T) {
	f := newFixture(t)
	path := f.file([]byte("no tarball"))
	ended, events := f.run(func(ctx context.Context, run *task.Run) (string, error) {
		return f.CreateRelease(ctx, run, path, false)
	})
	if ended.State != task.StateError || !strings.Contains(events, `"code":30002`) || !strings.Contains(events, `"state":"failed"`) {
		t.Errorf("release: got %+v %s", ended, events)
	}
	f.gone(path)
	path = f.file([]byte("no tarball"))
	ended, events = f.run(func(ctx context.Context, run *task.Run) (string, error) {
		return f.CreateStemcell(ctx, run, path, false)
	})
	if ended.State != task.StateError || !strings.Contains(events, `"code":50000`) {
		t.Errorf("stemcell: got %+v %s", ended, events)
	}
	f.gone(path)
}

func stemcell(t *testing.T, version string) []byte {
	sum := fmt.Sprintf("%x", sha1.Sum([]byte("image")))
	mf := "name: rig\nversion: '" + version + "'\noperating_system: rig-os\napi_version: 3\nsha1: " + sum + "\nstemcell_formats: [x]\ncloud_properties: {a: 1}\n"
	return releasetest.Tarball(t, releasetest.Entry{Name: "stemcell.MF", Body: mf}, releasetest.Entry{Name: "image", Body: "image"})
}

func TestCreateAndDeleteAStemcell(t *testing.T) {
	f := newFixture(t)
	create := func(version string, fix bool) string {
		path := f.file(stemcell(t, version))
		defer f.gone(path)
		ended, events := f.run(func(ctx context.Context, run *task.Run) (string, error) { return f.CreateStemcell(ctx, run, path, fix) })
		if ended.State != task.StateDone || ended.Result != "/stemcells/rig/"+version {
			t.Fatalf("got %+v %s", ended, events)
		}
		return events
	}
	remove := func(version string, force bool) (db.Task, string) {
		return f.run(func(ctx context.Context, run *task.Run) (string, error) {
			return f.DeleteStemcell(ctx, run, "rig", version, force)
		})
	}
	if events := create("1.1", false); !strings.Contains(events, `"task":"Save stemcell rig/1.1 (stemcell-image)"`) || strings.Count(events, `"total":5`) != 10 {
		t.Errorf("events: got %s", events)
	}
	s, err := f.db.Stemcell(t.Context(), "rig", "1.1")
	if err != nil || s.OS != "rig-os" || s.CID != "stemcell-image" || s.APIVersion != 3 || string(s.CloudProperties) != `{"a":1}` {
		t.Errorf("row: got %+v, %v", s, err)
	}
	if events := create("1.1", false); !strings.Contains(events, "(already exists, skipped)") || len(f.host.imported) != 1 {
		t.Errorf("again: got %s and imports %v", events, f.host.imported)
	}
	if create("1.1", true); len(f.host.imported) != 2 {
		t.Errorf("with fix: got imports %v", f.host.imported)
	}
	create("1.2", false)

	_, err = f.db.EnsureDeployment(t.Context(), "demo", nil)
	f.check(err)
	f.check(f.db.SaveDeployment(t.Context(), db.Deployment{Name: "demo", Stemcells: []db.NameVersion{{Name: "rig", Version: "1.1"}}}))
	if _, events := remove("1.1", true); !strings.Contains(events, `"code":50004,"message":"Stemcell 'rig/1.1' is still in use by: demo"`) {
		t.Errorf("in use: got %s", events)
	}
	f.check(f.db.DeleteDeployment(t.Context(), "demo"))
	// The other version has the same image.
	if ended, events := remove("1.1", false); ended.State != task.StateDone || len(f.host.deleted) != 0 {
		t.Errorf("delete one of two: got %+v %s, deleted %v", ended, events, f.host.deleted)
	}
	f.host.inUse = true
	if ended, _ := remove("1.2", false); ended.State != task.StateError {
		t.Errorf("an image that cannot be removed: got %+v", ended)
	}
	if ended, _ := remove("1.2", true); ended.State != task.StateDone {
		t.Errorf("with force: got %+v", ended)
	}
	if _, events := remove("1.2", false); !strings.Contains(events, `"code":50003`) {
		t.Errorf("again: got %s", events)
	}
}
