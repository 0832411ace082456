package manifest_test

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
)

// wantFault checks code and text; a text that ends with … is a beginning.
func wantFault(t *testing.T, err error, code int, text string) {
	t.Helper()
	var fault *manifest.Error
	if !errors.As(err, &fault) {
		t.Fatalf("got error %v, want a fault %d %q", err, code, text)
	}
	if fault.Code != code {
		t.Errorf("got code %d (%s), want %d", fault.Code, fault.Message, code)
	}
	beginning, open := strings.CutSuffix(text, "…")
	if fault.Message != text && !(open && strings.HasPrefix(fault.Message, beginning)) {
		t.Errorf("got  %q\nwant %q", fault.Message, text)
	}
}

func TestReadAnswersAtTheDoor(t *testing.T) {
	cases := map[string]struct {
		text string
		code int
		want string
	}{
		"broken":        {"a: [1, 2", 440001, "Incorrect YAML structure of the uploaded manifest: #<Psych::SyntaxError: (<unknown>): did not find expected ',' or ']' at line 1>"},
		"a string":      {"just a string", 440001, "Manifest should be a hash"},
		"a list":        {"[1]", 440001, "Manifest should be a hash"},
		"only comments": {"# nothing\n", 440001, "Manifest should be a hash"},
		"empty":         {"", 440001, "Manifest should not be empty"},
		"no name":       {"{foo: bar}", 40001, "Deployment manifest must have a 'name' key"},
		"odd name":      {"name: [1]", 40000, "Property 'name' value ([1]) did not match the required type 'String'"},
		"own anchor":    {"name: a\nb: &b [*b]", 440001, "Incorrect YAML structure of the uploaded manifest: #<Psych::SyntaxError: (<unknown>): anchor 'b' contains itself…"},
		"alias bomb":    {bomb(), 440001, "Incorrect YAML structure of the uploaded manifest: #<Psych::SyntaxError: (<unknown>): document expands to more than 200000 nodes>"},
		"not text":      {"\x00\x01", 440001, "Incorrect YAML structure of the uploaded manifest: #<Psych::SyntaxError: (<unknown>): control characters are not allowed>"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := manifest.Read([]byte(c.text))
			wantFault(t, err, c.code, c.want)
			var fault *manifest.Error
			if errors.As(err, &fault) && fault.HTTPStatus() != http.StatusBadRequest {
				t.Errorf("got status %d, want 400", fault.HTTPStatus())
			}
		})
	}
}

// bomb is ten levels of ten aliases each.
func bomb() string {
	var b strings.Builder
	b.WriteString("name: a\nl0: &l0 [x]\n")
	for i := 1; i < 10; i++ {
		below := strings.Repeat(fmt.Sprintf("*l%d,", i-1), 10)
		fmt.Fprintf(&b, "l%d: &l%d [%s]\n", i, i, below)
	}
	return b.String()
}

func TestReadConfigAnswersAtTheDoor(t *testing.T) {
	for text, want := range map[string]string{
		"addons: [[[": "Config must be valid YAML: (<unknown>): …",
		"7":           "YAML hash expected",
		"":            "YAML hash expected",
	} {
		_, err := manifest.ReadConfig([]byte(text))
		wantFault(t, err, 440011, want)
	}
	if got := string(readConfig(t, "releases: []").YAML()); got != "---\nreleases: []\n" {
		t.Errorf("got %q", got)
	}
}

func TestReplaceReachesAllStrings(t *testing.T) {
	d := readManifest(t, "name: a\nlist: [x, {x: [x, 7, true]}]\nx: y\n")
	replaced, err := d.Replace(func(s string, key bool) (any, error) {
		switch {
		case s == "x" && key:
			return "renamed", nil
		case s == "x":
			return map[string]any{"deep": []any{1.0, "s"}}, nil
		}
		return s, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	deep := map[string]any{"deep": []any{1, "s"}}
	want := map[string]any{"name": "a", "list": []any{deep, map[string]any{"renamed": []any{deep, 7, true}}}, "renamed": "y"}
	if got := replaced.Tree(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if _, changed := d.Tree()["renamed"]; changed {
		t.Error("the original changed")
	}
	boom := errors.New("boom")
	if _, err := d.Replace(func(string, bool) (any, error) { return nil, boom }); !errors.Is(err, boom) {
		t.Errorf("got %v, want boom", err)
	}
}

func TestFaultsNeverShowFilledInValuesOrProperties(t *testing.T) {
	const secret = "hunter2hunter2"
	for name, text := range map[string]string{
		"property":      "name: a\nreleases: 7\nproperties: {p: " + secret + "}\n",
		"whole section": "name: a\nreleases: ((x))\n",
		"in an object":  "name: a\nreleases: [{version: 1, url: ((x))}]\n",
		"in a string":   "name: a\nreleases: [{name: r, version: [\"a((x))\"]}]\n",
		"env":           "name: a\nreleases: []\nupdate: {canaries: 1, max_in_flight: 1, canary_watch_time: 1, update_watch_time: 1}\nstemcells: [{alias: a, os: rig-os, version: 1.1}]\ninstance_groups: [{env: {p: " + secret + "}}]\n",
	} {
		d, err := readManifest(t, text).Replace(func(s string, _ bool) (any, error) {
			if strings.Contains(s, "((x))") {
				return strings.ReplaceAll(s, "((x))", secret), nil
			}
			return s, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = manifest.Parse(d, &manifest.CloudConfig{}, uploaded, manifest.Options{})
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestFaultsQuoteLongObjectsInPart(t *testing.T) {
	d := readManifest(t, "name: a\nlong: "+strings.Repeat("é", 100_000)+"\nmore: ["+strings.Repeat("x,", 10_000)+"]\n")
	_, err := manifest.Parse(d, &manifest.CloudConfig{}, uploaded, manifest.Options{})
	wantFault(t, err, 40001, "Required property 'releases' was not specified in object ({\"name\"=>\"a\", \"long\"=>\"é…")
	if n := len(err.Error()); n > 5000 {
		t.Errorf("the fault has %d bytes", n)
	}
}
