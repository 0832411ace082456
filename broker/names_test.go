package broker

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var label = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

func TestDeploymentName(t *testing.T) {
	for id, want := range map[string]string{
		"6f1b2c3d-0000-4000-8000-0123456789ab": "kettle-6f1b2c3d-0000-4000-8000-0123456789ab",
		"6F1B2C3D-0000-4000-8000-0123456789AB": "kettle-x",
		"my.instance":                          "kettle-x",
		"x":                                    "kettle-x",
	} {
		got := deploymentName("kettle", id)
		if !strings.HasPrefix(got, want) || !label.MatchString(got) {
			t.Errorf("deploymentName(%q): got %q, want %q…", id, got, want)
		}
	}
}

func TestDeploymentNamesAreLabelsAndUnique(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,63}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
		prefix := namePrefix(rapid.String().Draw(t, "offering"))
		a, b := ids.Draw(t, "a"), ids.Draw(t, "b")
		nameA, nameB := deploymentName(prefix, a), deploymentName(prefix, b)
		if !label.MatchString(nameA) {
			t.Fatalf("%q is no label", nameA)
		}
		if (nameA == nameB) != (a == b) {
			t.Fatalf("%q and %q have the names %q and %q", a, b, nameA, nameB)
		}
		if upper := deploymentName(prefix, strings.ToUpper(a)); strings.ToUpper(a) != a && upper == nameA {
			t.Fatalf("%q and its upper case share the name %q", a, nameA)
		}
	})
}

func TestNamePrefix(t *testing.T) {
	for offering, want := range map[string]string{
		"kettle": "kettle", "My Kettle!": "my-kettle", "7up": "s-7up", "": "s", "---": "s",
		"a-very-long-name-of-a-data-service": "a-very-long-name-of-a-da",
	} {
		if got := namePrefix(offering); got != want {
			t.Errorf("namePrefix(%q): got %q, want %q", offering, got, want)
		}
	}
}

func TestOverlay(t *testing.T) {
	for name, c := range map[string]struct{ earlier, given, want string }{
		"nothing given":    {`{"a":1}`, ``, `{"a":1}`},
		"null given":       {`{"a":1}`, `null`, `{"a":1}`},
		"one changed":      {`{"a":1,"b":2}`, `{"b":3}`, `{"a":1,"b":3}`},
		"one added":        {``, `{"b":3}`, `{"b":3}`},
		"objects replaced": {`{"a":{"x":1,"y":2}}`, `{"a":{"x":2}}`, `{"a":{"x":2}}`},
		"large integers":   {`{"a":9007199254740993}`, `{"b":9007199254740995}`, `{"a":9007199254740993,"b":9007199254740995}`},
	} {
		got, err := overlay([]byte(c.earlier), []byte(c.given))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: got %s, %v; want %s", name, got, err, c.want)
		}
	}
}
