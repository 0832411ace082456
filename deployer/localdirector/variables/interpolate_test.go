package variables_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/variables"
)

func interpolate(t *testing.T, store variables.Store, text string) (variables.Interpolated, error) {
	t.Helper()
	d, err := manifest.Read([]byte("name: demo\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	return variables.Interpolate(t.Context(), store, scope, d)
}

func filled() *memory {
	store := newMemory()
	store.put("/bosh/demo/word", `"hello"`)
	store.put("/bosh/demo/number", `7`)
	store.put("/bosh/demo/float", `1.5`)
	store.put("/bosh/demo/cert", `{"certificate":"CERT","nested":{"deep":["x"]}}`)
	store.put("/shared", `"everywhere"`)
	store.put("/bosh/demo/looks", `"((word))"`)
	return store
}

func TestInterpolate(t *testing.T) {
	cases := map[string]struct{ in, want any }{
		"whole":             {"((word))", "hello"},
		"spiff":             {"((!word))", "hello"},
		"number":            {"((number))", 7},
		"float":             {"((float))", psych.Float(1.5)},
		"hash":              {"((cert))", map[string]any{"certificate": "CERT", "nested": map[string]any{"deep": []any{"x"}}}},
		"key":               {"((cert.certificate))", "CERT"},
		"deep key":          {"((cert.nested.deep))", []any{"x"}},
		"absolute":          {"((/shared))", "everywhere"},
		"own absolute":      {"((/bosh/demo/word))", "hello"},
		"embedded":          {"say ((word)) ((number)) times ((/shared))", "say hello 7 times everywhere"},
		"twice":             {"((word))((word))", "hellohello"},
		"not replaced anew": {"((looks))", "((word))"},
		"nothing":           {"(word) $((", "(word) $(("},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(c.in)
			if err != nil {
				t.Fatal(err)
			}
			got, err := interpolate(t, filled(), "list: [{a: "+string(text)+"}]\n")
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]any{"name": "demo", "list": []any{map[string]any{"a": c.want}}}
			if tree := got.Document.Tree(); !reflect.DeepEqual(tree, want) {
				t.Errorf("got  %#v\nwant %#v", tree, want)
			}
		})
	}
	got, err := interpolate(t, filled(), "'((word))': {'x((word))': '((cert))', n: ((number)), e: '((/shared))!'}\n")
	if err != nil {
		t.Fatal(err)
	}
	if inner, ok := got.Document.Tree()["hello"].(map[string]any); !ok || inner["x((word))"] == nil {
		t.Errorf("keys: got %v", got.Document.Tree())
	}
	if want := []string{"CERT", "everywhere", "hello", "x"}; !reflect.DeepEqual(got.Secrets, want) {
		t.Errorf("got secrets %v, want %v", got.Secrets, want)
	}
	var used []string
	for _, u := range got.Used {
		used = append(used, u.Name)
	}
	if want := []string{"/bosh/demo/cert", "/bosh/demo/number", "/bosh/demo/word", "/shared"}; !reflect.DeepEqual(used, want) {
		t.Errorf("got used %v, want %v", used, want)
	}
}

func TestInterpolationFaults(t *testing.T) {
	missing := func(name string) string {
		return "- Failed to find variable '" + name + "' from config server: HTTP Code '404', Error: 'Name '" + name + "' not found'"
	}
	cases := map[string]struct {
		text string
		code int
		want string
	}{
		"all that are missing, once": {"a: ((x))\nb: [((word)), 'y((/y))((x))']\nc: ((z.k))\n", 540001,
			missing("/bosh/demo/x") + "\n" + missing("/y") + "\n" + missing("/bosh/demo/z")},
		"key of a string":    {"a: ((word.k))", 540001, "- Failed to fetch variable '/bosh/demo/word' from config server: Expected parent '/bosh/demo/word' to be a hash"},
		"unknown key":        {"a: ((cert.k))", 540001, "- Failed to fetch variable '/bosh/demo/cert' from config server: Expected parent '/bosh/demo/cert' hash to have key 'k'"},
		"unknown deep key":   {"a: ((cert.nested.k))", 540001, "- Failed to fetch variable '/bosh/demo/cert' from config server: Expected parent '/bosh/demo/cert.nested' hash to have key 'k'"},
		"hash in a string":   {"a: secret ((cert))", 540007, "- Failed to substitute variable: Can not replace '((cert))'. The value should be a String or an Integer."},
		"float in a string":  {"a: b((float))", 540007, "- Failed to substitute variable: Can not replace '((float))'. The value should be a String or an Integer."},
		"hash as a key":      {"'((cert))': a", 540007, "- Failed to substitute variable: Can not replace '((cert))'. The value should be a String or an Integer."},
		"arithmetic":         {"a: 'i=((i + 1))'", 540004, "Variable name 'i + 1' must only contain alphanumeric, underscores, dashes, or forward slash characters"},
		"two bangs":          {"a: ((!a!b))", 540004, "Variable name '!a!b' contains invalid character '!'. If it is included for spiff, it should only be at the beginning of the name. Note: it will not be considered a part of the name"},
		"ends with a dot":    {"a: ((a.))", 540004, "Variable name 'a.' syntax error: Must not end name with a dot"},
		"starts with a dot":  {"a: ((.a))", 540004, "Variable name '.a' syntax error: Must not have segment starting with a dot"},
		"two dots":           {"a: ((a..b))", 540004, "Variable name 'a..b' syntax error: Must not contain consecutive dots"},
		"dot before a slash": {"a: ((a.b/c))", 540004, "Variable name 'a.b/c' syntax error: Must not contain dots before the last slash"},
		"ends with a slash":  {"a: ((a/))", 540004, "Variable name 'a/' must not end with a forward slash"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := interpolate(t, filled(), c.text)
			wantFault(t, err, c.code, c.want)
		})
	}
	t.Run("relative names in a cloud config", func(t *testing.T) {
		d, err := manifest.ReadConfig([]byte("azs: ((azs))\nnetworks: ((/shared))\nvm_types: ((types))\n"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = variables.Interpolate(t.Context(), filled(), variables.Scope{Director: "bosh"}, d)
		wantFault(t, err, 540004, "Relative paths are not allowed in this context. The following must be be switched to use absolute paths: 'azs', 'types'")
	})
	t.Run("damaged value", func(t *testing.T) {
		store := newMemory()
		store.put("/bosh/demo/x", `hunter2`)
		if _, err := interpolate(t, store, "a: ((x))"); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("store", func(t *testing.T) {
		store := newMemory()
		store.broken["/bosh/demo/x"] = true
		if _, err := interpolate(t, store, "a: ((x))"); err == nil || !strings.Contains(err.Error(), "disk on fire") {
			t.Errorf("got %v", err)
		}
	})
}
