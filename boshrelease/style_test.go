package boshrelease_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// scripts returns all shell scripts of the release.
func scripts(t *testing.T) []string {
	t.Helper()
	found := []string{"build.sh", "consul.sh", "testdata/node.sh"}
	for _, pattern := range []string{"packages/*/packaging", "jobs/*/templates/*", "jobs/*/templates/*/*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if content, err := os.ReadFile(path); err == nil && regexp.MustCompile(`^#(!/|.*shellcheck shell=)`).Match(content) {
				found = append(found, path)
			}
		}
	}
	if len(found) < 10 {
		t.Fatalf("found only %q", found)
	}
	return found
}

func TestScriptsAreShellcheckClean(t *testing.T) {
	out, err := exec.Command("shellcheck", append([]string{"-x", "-P", "."}, scripts(t)...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v (is it missing? apt-get install shellcheck)\n%s", err, out)
	}
}

func TestJobScriptsAreShortAndStrict(t *testing.T) {
	for _, path := range scripts(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if strings.HasPrefix(path, "jobs/") && len(lines) > 60 {
			t.Errorf("%s has %d lines, want at most 60", path, len(lines))
		}
		if !strings.HasPrefix(lines[0], "#!") {
			continue // sourced by others
		}
		if !strings.Contains(string(text), "\nset -euo pipefail\n") || lines[len(lines)-1] != `main "$@"` {
			t.Errorf("%s: want set -euo pipefail and main \"$@\" at the end", path)
		}
	}
}

func TestOnlyFilesNamedErbHoldErb(t *testing.T) {
	err := filepath.WalkDir("jobs", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.Contains(path, "/templates/") {
			return err
		}
		text, err := os.ReadFile(path)
		if has, named := strings.Contains(string(text), "<%"), strings.HasSuffix(path, ".erb"); has != named {
			t.Errorf("%s: ERB inside: %v, suffix .erb: %v", path, has, named)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryPropertyIsDescribed(t *testing.T) {
	rel := theRelease(t)
	for _, job := range rel.Jobs {
		for name, property := range job.Properties {
			required := strings.HasPrefix(property.Description, "Required.")
			switch {
			case len(property.Description) < 20:
				t.Errorf("%s: %s has no description", job.Name, name)
			case required && property.Default != nil:
				t.Errorf("%s: %s is required and has a default", job.Name, name)
			case !required && property.Default == nil:
				t.Errorf("%s: %s has no default and does not say Required.", job.Name, name)
			}
		}
	}
}
