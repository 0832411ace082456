package db_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// writerEnv makes the test binary a process that writes until it is killed.
const writerEnv = "DB_TEST_WRITER"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		fmt.Fprintln(os.Stderr, writeForever(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func open(t *testing.T) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), filepath.Join(t.TempDir(), "director.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// check fails the test when err is not nil.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDeploymentAndAllThatBelongsToIt(t *testing.T) {
	d, ctx := open(t), t.Context()
	if _, err := d.Deployment(ctx, "demo"); !errors.Is(err, db.ErrNotFound) {
		t.Fatalf("absent deployment: got %v, want ErrNotFound", err)
	}
	if created, err := d.EnsureDeployment(ctx, "demo", []int64{3}); err != nil || !created {
		t.Fatalf("create: got %v, %v", created, err)
	}
	dep, err := d.Deployment(ctx, "demo")
	check(t, err)
	if dep.Manifest != "" || !reflect.DeepEqual(dep.CloudConfigIDs, []int64{3}) {
		t.Errorf("new deployment: got %+v", dep)
	}
	dep.Manifest, dep.ResolvedManifest = "name: demo", "name: demo\nx: 1"
	dep.CloudConfigIDs, dep.Links = []int64{3, 4}, json.RawMessage(`[1]`)
	dep.Releases = []db.NameVersion{{Name: "hello", Version: "1.0.0"}}
	dep.Stemcells = []db.NameVersion{{Name: "rig", Version: "1.1"}}
	check(t, d.SaveDeployment(ctx, dep))
	if created, err := d.EnsureDeployment(ctx, "demo", nil); err != nil || created {
		t.Fatalf("create again: got %v, %v", created, err)
	}
	again, err := d.Deployment(ctx, "demo")
	check(t, err)
	if !reflect.DeepEqual(again, dep) {
		t.Errorf("got %+v, want %+v", again, dep)
	}
	inst := db.Instance{
		ID: "i1", Deployment: "demo", Group: "web", Index: 1, AZ: "z1", State: db.StateStarted, Lifecycle: "service",
		Bootstrap: true, IPs: []string{"10.0.0.2"}, Networks: json.RawMessage(`{"a":1}`), Spec: json.RawMessage(`{"b":[2]}`),
		VM: &db.VM{CID: "vm1", AgentID: "agent1", CreatedAt: time.Unix(1795345106, 0).UTC(), Stemcell: db.NameVersion{Name: "rig", Version: "1.1"}, VMType: "small"},
	}
	check(t, d.PutInstance(ctx, inst))
	check(t, d.PutInstance(ctx, db.Instance{ID: "i0", Deployment: "demo", Group: "web", State: db.StateDetached}))
	list, err := d.Instances(ctx, "demo")
	check(t, err)
	if len(list) != 2 || list[0].ID != "i0" || list[0].VM != nil || !reflect.DeepEqual(list[1], inst) {
		t.Errorf("instances: got %+v, want i0 without a VM and %+v", list, inst)
	}
	check(t, d.SetResurrectionPaused(ctx, "i1", true))
	check(t, d.SetIgnored(ctx, "i1", true))
	check(t, d.PutInstance(ctx, inst)) // an older copy
	if got, err := d.Instance(ctx, "i1"); err != nil || !got.ResurrectionPaused || !got.Ignore {
		t.Errorf("flags of i1: got %+v, %v, want both set", got, err)
	}
	if err := d.SetIgnored(ctx, "absent", true); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("ignore an absent instance: got %v, want ErrNotFound", err)
	}
	check(t, d.PutDisk(ctx, db.Disk{CID: "d1", InstanceID: "i1", SizeMiB: 64, Active: true}))
	check(t, d.PutDisk(ctx, db.Disk{CID: "d2", InstanceID: "i1", SizeMiB: 128}))
	check(t, d.ReplaceActiveDisk(ctx, "d2", "d1"))
	check(t, d.ReplaceActiveDisk(ctx, "d1", "d2"))
	if disks, err := d.Disks(ctx, "i1"); err != nil || len(disks) != 2 || disks[0].CID != "d1" || !disks[0].Active || disks[1].Active {
		t.Errorf("disks: got %+v, %v, want d1 active and d2 not", disks, err)
	}
	at := time.Unix(1795345200, 0).UTC()
	check(t, d.OrphanDisk(ctx, "d2", at))
	if err := d.OrphanDisk(ctx, "d2", at); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("orphaning twice: got %v, want ErrNotFound", err)
	}
	check(t, d.PutVariable(ctx, db.Variable{ID: "v1", Name: "/h/demo/pw", Deployment: "demo", Type: "password", Value: json.RawMessage(`"x"`)}))
	check(t, d.SetErrandState(ctx, "demo", "smoke", "a"))
	check(t, d.SetErrandState(ctx, "demo", "smoke", "b"))
	if state, err := d.ErrandState(ctx, "demo", "smoke"); err != nil || state != "b" {
		t.Errorf("errand: got %q, %v, want b", state, err)
	}

	check(t, d.DeleteDeployment(ctx, "demo"))
	check(t, d.DeleteDeployment(ctx, "demo"))
	if state, err := d.ErrandState(ctx, "demo", "smoke"); err != nil || state != "" {
		t.Errorf("errand after its deployment: got %q, %v, want none", state, err)
	}
	instances, err := d.AllInstances(ctx)
	check(t, err)
	disks, err := d.AllDisks(ctx)
	check(t, err)
	variables, err := d.Variables(ctx, "demo")
	check(t, err)
	if len(instances)+len(disks)+len(variables) != 0 {
		t.Errorf("left after the deployment: %v %v %v", instances, disks, variables)
	}
	orphans, err := d.OrphanDisks(ctx)
	check(t, err)
	want := []db.OrphanDisk{{CID: "d2", SizeMiB: 128, Deployment: "demo", Instance: "web/i1", AZ: "z1", OrphanedAt: at}}
	if !reflect.DeepEqual(orphans, want) {
		t.Errorf("orphans: got %+v, want %+v", orphans, want)
	}
}

func TestUpdateTaskOnlyFromTheExpectedState(t *testing.T) {
	d, ctx := open(t), t.Context()
	id, err := d.AddTask(ctx, db.Task{State: "queued", Type: "update_deployment", Deployment: "demo", ContextID: "c1", User: "admin"})
	check(t, err)
	ok, err := d.UpdateTask(ctx, db.Task{ID: id, State: "processing"}, "cancelling")
	if err != nil || ok {
		t.Fatalf("update from a state it is not in: got %v, %v", ok, err)
	}
	ok, err = d.UpdateTask(ctx, db.Task{ID: id, State: "processing", StartedAt: time.Unix(7, 0)}, "queued", "cancelling")
	if err != nil || !ok {
		t.Fatalf("update: got %v, %v", ok, err)
	}
	for name, f := range map[string]db.TaskFilter{
		"state": {States: []string{"processing", "done"}}, "type": {Types: []string{"update_deployment"}},
		"context": {ContextID: "c1"}, "deployment": {Deployment: "demo"}, "ids": {IDs: []int64{id}}, "all": {},
	} {
		if list, err := d.Tasks(ctx, f); err != nil || len(list) != 1 || list[0].StartedAt.Unix() != 7 {
			t.Errorf("filter %s: got %+v, %v, want the task", name, list, err)
		}
	}
	for name, f := range map[string]db.TaskFilter{
		"state": {States: []string{"queued"}}, "type": {ExcludeTypes: []string{"update_deployment"}}, "context": {ContextID: "c2"},
	} {
		if list, err := d.Tasks(ctx, f); err != nil || len(list) != 0 {
			t.Errorf("filter %s: got %+v, %v, want none", name, list, err)
		}
	}
}

func TestConfigVersions(t *testing.T) {
	d, ctx := open(t), t.Context()
	for _, c := range []db.Config{{Type: "cloud", Name: "default", Content: "a"}, {Type: "cloud", Name: "default", Content: "b"}, {Type: "runtime", Name: "x", Content: "c"}} {
		_, err := d.AddConfig(ctx, c)
		check(t, err)
	}
	contents := func(f db.ConfigFilter) string {
		list, err := d.Configs(ctx, f)
		check(t, err)
		var out []string
		for _, c := range list {
			out = append(out, fmt.Sprintf("%d%s %v", c.ID, c.Content, c.Current))
		}
		return strings.Join(out, " ")
	}
	if got, want := contents(db.ConfigFilter{Latest: true}), "2b true 3c true"; got != want {
		t.Errorf("latest: got %q, want %q", got, want)
	}
	if got, want := contents(db.ConfigFilter{Type: "cloud", Limit: 9}), "2b true 1a false"; got != want {
		t.Errorf("all cloud configs: got %q, want %q", got, want)
	}
	check(t, d.DeleteConfig(ctx, 2))
	if got, want := contents(db.ConfigFilter{Type: "cloud"}), "1a true"; got != want {
		t.Errorf("after deleting the current version: got %q, want %q", got, want)
	}
	if n, err := d.DeleteConfigs(ctx, "cloud", "default"); err != nil || n != 1 {
		t.Errorf("delete all versions: got %d, %v, want 1", n, err)
	}
	if _, err := d.Config(ctx, 1); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("deleted config: got %v, want ErrNotFound", err)
	}
}

func TestReleasesKeepEverythingAndFindPackages(t *testing.T) {
	d, ctx := open(t), t.Context()
	r := release.Release{
		Name: "hello", Version: "1.0.0", CommitHash: "abc", UncommittedChanges: true,
		Jobs:     []release.Job{{Name: "web", Fingerprint: "f1", Templates: map[string]string{"run.erb": "bin/run"}}},
		Packages: []release.Package{{Name: "hello", Fingerprint: "f2", Blob: "b2", Dependencies: []string{}}},
	}
	check(t, d.PutRelease(ctx, r))
	check(t, d.PutRelease(ctx, r))
	got, err := d.Release(ctx, "hello", "1.0.0")
	check(t, err)
	if !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v, want %+v", got, r)
	}
	if p, err := d.PackageByFingerprint(ctx, "f2"); err != nil || p.Blob != "b2" {
		t.Errorf("package by fingerprint: got %+v, %v", p, err)
	}
	check(t, d.DeleteRelease(ctx, "hello", "1.0.0"))
	if _, err := d.PackageByFingerprint(ctx, "f2"); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("package of a deleted release: got %v, want ErrNotFound", err)
	}
}

func TestEventsAreBoundedAndFiltered(t *testing.T) {
	d, ctx := open(t), t.Context()
	for n := range 5 {
		_, err := d.AddEvent(ctx, db.Event{Time: time.Unix(int64(100+n), 0), Action: "create", ObjectType: "vm", Task: strconv.Itoa(n)})
		check(t, err)
	}
	list, err := d.Events(ctx, db.EventFilter{BeforeID: 5, After: time.Unix(100, 0), Limit: 2, Action: "create"})
	check(t, err)
	if len(list) != 2 || list[0].ID != 4 || list[1].ID != 3 || string(list[0].Context) != "{}" {
		t.Errorf("got %+v, want the events 4 and 3", list)
	}
	if _, err := d.Event(ctx, 99); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("absent event: got %v, want ErrNotFound", err)
	}
}

func TestFilesAreTheOwnersOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "director.db")
	d, err := db.Open(t.Context(), path)
	check(t, err)
	defer d.Close()
	check(t, d.SetSetting(t.Context(), db.SettingUUID, "x"))
	files, err := filepath.Glob(path + "*")
	check(t, err)
	if len(files) < 2 {
		t.Fatalf("files: got %v, want the database and its log", files)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		check(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", f, info.Mode().Perm())
		}
	}
}

func TestOpenRefusesANewerSchemaAndKeepsAnOlder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "director.db")
	d, err := db.Open(t.Context(), path)
	check(t, err)
	check(t, d.SetSetting(t.Context(), "a", "b"))
	check(t, d.Close())
	d, err = db.Open(t.Context(), path)
	check(t, err)
	if v, err := d.Setting(t.Context(), "a"); err != nil || v != "b" {
		t.Errorf("after reopening: got %q, %v, want b", v, err)
	}
	check(t, db.SetSchemaVersion(t.Context(), d, 99))
	check(t, d.Close())
	if _, err := db.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("newer schema: got %v, want a refusal", err)
	}
}

func TestConcurrentWritersDoNotFail(t *testing.T) {
	d, ctx := open(t), t.Context()
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for range 20 {
				if _, err := d.AddTask(ctx, db.Task{State: "queued", Type: strconv.Itoa(n)}); err != nil {
					t.Error(err)
				}
				if _, err := d.Tasks(ctx, db.TaskFilter{Types: []string{strconv.Itoa(n)}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if list, err := d.Tasks(ctx, db.TaskFilter{}); err != nil || len(list) != 160 {
		t.Errorf("got %d tasks, %v, want 160", len(list), err)
	}
}

// TestNothingAnsweredIsLostByKill kills a writing process at a random moment
// and looks for every task whose number it had told.
func TestNothingAnsweredIsLostByKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "director.db")
	last := int64(0)
	for round := range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerEnv+"="+path)
		stdout, err := cmd.StdoutPipe()
		check(t, err)
		check(t, cmd.Start())
		lines := bufio.NewScanner(stdout)
		for n := 0; lines.Scan(); n++ {
			id, err := strconv.ParseInt(lines.Text(), 10, 64)
			check(t, err)
			last = max(last, id)
			if n == 10+7*round {
				check(t, cmd.Process.Kill())
			}
		}
		_ = cmd.Wait() // it was killed
		d, err := db.Open(t.Context(), path)
		check(t, err)
		list, err := d.Tasks(t.Context(), db.TaskFilter{})
		check(t, err)
		if int64(len(list)) < last {
			t.Errorf("round %d: %d tasks are there, %d were answered", round, len(list), last)
		}
		check(t, d.Close())
	}
}

func writeForever(path string) error {
	ctx := context.Background()
	d, err := db.Open(ctx, path)
	if err != nil {
		return err
	}
	for {
		id, err := d.AddTask(ctx, db.Task{State: "queued", Description: strings.Repeat("x", 1000)})
		if err != nil {
			return err
		}
		fmt.Println(id)
	}
}
