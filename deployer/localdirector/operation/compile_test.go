package operation

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// diamond is a release whose package d needs b and c, which both need a; e is
// on its own.
func diamond() *release.Release {
	return &release.Release{Name: "r", Version: "1", Packages: []release.Package{
		{Name: "a", Fingerprint: "a"}, {Name: "b", Fingerprint: "b", Dependencies: []string{"a"}},
		{Name: "c", Fingerprint: "c", Dependencies: []string{"a"}}, {Name: "d", Fingerprint: "d", Dependencies: []string{"b", "c"}},
		{Name: "e", Fingerprint: "e"},
	}}
}

func TestRequirements(t *testing.T) {
	var needs requirements
	one, two := db.Stemcell{OS: "linux", Version: "1"}, db.Stemcell{OS: "linux", Version: "2"}
	for _, stemcell := range []db.Stemcell{one, one, two} {
		for _, name := range []string{"d", "e"} {
			if _, err := needs.add(diamond(), name, stemcell); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	for _, r := range needs.order {
		got = append(got, r.pkg.Name+r.stemcell.Version)
	}
	if want := []string{"a1", "b1", "c1", "d1", "e1", "a2", "b2", "c2", "d2", "e2"}; !reflect.DeepEqual(got, want) {
		t.Errorf("order %q, want %q", got, want)
	}
	if _, err := needs.add(diamond(), "nope", one); err == nil {
		t.Error("a package that does not exist is required")
	}
}

func TestInOrderOfNeeds(t *testing.T) {
	var needs requirements
	for _, name := range []string{"d", "e"} {
		if _, err := needs.add(diamond(), name, db.Stemcell{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{1, 2, 9} {
		var mu sync.Mutex
		var done []string
		err := inOrderOfNeeds(context.Background(), limit, needs.order, func(_ context.Context, r *requirement) error {
			mu.Lock()
			defer mu.Unlock()
			for _, n := range r.needs {
				if !slices.Contains(done, n.pkg.Name) {
					t.Errorf("%s before %s", r.pkg.Name, n.pkg.Name)
				}
			}
			done = append(done, r.pkg.Name)
			return nil
		})
		if err != nil || len(done) != 5 {
			t.Errorf("limit %d: %v after %q", limit, err, done)
		}
		boom := errors.New("boom")
		err = inOrderOfNeeds(context.Background(), limit, needs.order, func(_ context.Context, r *requirement) error {
			if r.pkg.Name == "b" {
				return boom
			}
			if r.pkg.Name == "d" {
				t.Error("d was begun after b failed")
			}
			return nil
		})
		if !errors.Is(err, boom) {
			t.Errorf("limit %d: got %v, want %v", limit, err, boom)
		}
	}
}

func TestCompiledPackagesAreUsedAgain(t *testing.T) {
	r := newRig(t)
	e := r.mustDeploy()
	if !strings.Contains(lines(e.events), "Compiling packages (2/2)") {
		t.Errorf("events:\n%s", lines(e.events))
	}
	r.succeeded(r.delete(false))
	if e := r.mustDeploy(); strings.Contains(lines(e.events), "Compiling packages") {
		t.Errorf("compiled again:\n%s", lines(e.events))
	}
	r.addRelease("2")
	if e := r.mustDeploy(); !strings.Contains(lines(e.events), "Compiling packages (2/2)") {
		t.Errorf("other packages were not compiled:\n%s", lines(e.events))
	}
}

func TestCompilationThatFails(t *testing.T) {
	r := newRig(t)
	r.world.faults["compile hello"] = &agent.Error{Method: "compile_package", Message: "Action Failed get_task: Task 1 result: Compiling package hello: exit status 1"}
	r.failed(r.deploy(), 450001, "Compiling package hello: exit status 1")
	r.consistent()
	if taken := len(r.d.addresses.held); taken != 0 {
		t.Errorf("%d addresses are still held", taken)
	}
	r.world.faults = map[string]error{}
	e := r.mustDeploy()
	if text := lines(e.events); strings.Contains(text, "base/") || !strings.Contains(text, "Compiling packages (1/1) hello/hello1: finished") {
		t.Errorf("events:\n%s", text)
	}
}

func TestKeyedMutex(t *testing.T) {
	var k keyedMutex
	ctx, cancel := context.WithCancel(context.Background())
	unlock, err := k.lock(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := k.lock(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	other()
	cancel()
	if _, err := k.lock(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's end", err)
	}
	unlock()
	again, err := k.lock(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	again()
	if len(k.keys) != 0 {
		t.Errorf("%d keys are kept", len(k.keys))
	}
}
