package release_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

func releaseOf(packages ...release.Package) *release.Release {
	return &release.Release{Name: "r", Version: "1", Packages: packages}
}

func pkg(name, fingerprint string, dependencies ...string) release.Package {
	return release.Package{Name: name, Fingerprint: fingerprint, Dependencies: dependencies}
}

func names(packages []release.Package) string {
	var out []string
	for _, p := range packages {
		out = append(out, p.Name)
	}
	return strings.Join(out, " ")
}

func TestCompileOrder(t *testing.T) {
	r := releaseOf(pkg("a", "1", "c", "b"), pkg("b", "2", "d"), pkg("c", "3", "d"), pkg("d", "4"), pkg("e", "5"))
	tests := map[string]struct {
		of   []string
		want string
	}{
		"all":           {nil, "d b c a e"},
		"one with deps": {[]string{"a"}, "d b c a"},
		"no deps":       {[]string{"e"}, "e"},
		"repeated":      {[]string{"c", "d", "c"}, "d c"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := r.CompileOrder(tc.of...)
			if err != nil || names(got) != tc.want {
				t.Errorf("order is %q, %v; want %q", names(got), err, tc.want)
			}
		})
	}
	if _, err := r.CompileOrder("z"); err == nil || !strings.Contains(err.Error(), "has no package 'z'") {
		t.Errorf("unknown package: %v", err)
	}
	if _, err := releaseOf(pkg("a", "1", "b"), pkg("b", "2", "c"), pkg("c", "3", "b")).CompileOrder(); err == nil || !strings.Contains(err.Error(), "b => c => b") {
		t.Errorf("cycle: %v", err)
	}
}

func TestCompiledKey(t *testing.T) {
	key := func(r *release.Release, name, os, version string) string {
		t.Helper()
		k, err := r.CompiledKey(name, os, version)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	base := key(releaseOf(pkg("a", "1", "b", "c"), pkg("b", "2"), pkg("c", "3"), pkg("x", "9")), "a", "debian", "1.0")
	same := map[string]*release.Release{
		"other order":            releaseOf(pkg("c", "3"), pkg("b", "2"), pkg("a", "1", "c", "b")),
		"unrelated package gone": releaseOf(pkg("a", "1", "b", "c"), pkg("b", "2"), pkg("c", "3")),
	}
	for name, r := range same {
		if key(r, "a", "debian", "1.0") != base {
			t.Errorf("%s: the key differs", name)
		}
	}
	seen := []string{base}
	different := map[string]string{
		"own fingerprint":     key(releaseOf(pkg("a", "1x", "b", "c"), pkg("b", "2"), pkg("c", "3")), "a", "debian", "1.0"),
		"fingerprint below":   key(releaseOf(pkg("a", "1", "b", "c"), pkg("b", "2"), pkg("c", "3x")), "a", "debian", "1.0"),
		"deeper below":        key(releaseOf(pkg("a", "1", "b", "c"), pkg("b", "2", "d"), pkg("c", "3"), pkg("d", "4")), "a", "debian", "1.0"),
		"stemcell's system":   key(releaseOf(pkg("a", "1", "b", "c"), pkg("b", "2"), pkg("c", "3")), "a", "ubuntu", "1.0"),
		"stemcell's version":  key(releaseOf(pkg("a", "1", "b", "c"), pkg("b", "2"), pkg("c", "3")), "a", "debian", "1.1"),
		"same parts, no deps": key(releaseOf(pkg("a", "1"), pkg("b", "2"), pkg("c", "3")), "a", "debian", "1.0"),
	}
	for name, k := range different {
		if slices.Contains(seen, k) {
			t.Errorf("%s: the key is the same", name)
		}
		seen = append(seen, k)
	}
}

func TestPackagesOf(t *testing.T) {
	r := &release.Release{Jobs: []release.Job{{Name: "x", Packages: []string{"b", "a"}}, {Name: "y", Packages: []string{"b"}}}}
	got, err := r.PackagesOf("x", "y")
	if err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := r.PackagesOf("z"); err == nil {
		t.Error("an unknown job has packages")
	}
}

func TestVersions(t *testing.T) {
	ordered := []string{"a/b", "1.0-rc.1", "1.0-rc.2", "1.0", "1.0+dev.1", "1.0+dev.10", "1.2", "1.10", "2", "10"}
	shuffled := slices.Clone(ordered)
	slices.Sort(shuffled)
	slices.SortFunc(shuffled, release.CompareVersions)
	if !slices.Equal(shuffled, ordered) {
		t.Errorf("order is %v, want %v", shuffled, ordered)
	}
	for text, ok := range map[string]bool{"1.2.3-rc.1+dev.2": true, "latest": true, "": false, "1 2": false, "../1": false} {
		if _, err := release.ParseVersion(text); (err == nil) != ok {
			t.Errorf("parse %q: %v", text, err)
		}
	}
}
