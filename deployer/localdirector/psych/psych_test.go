package psych_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
)

func parsed(t *testing.T, text string) map[string]any {
	t.Helper()
	tree, err := psych.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return psych.Plain(tree, func(v any) any { return v }).(map[string]any)
}

func TestScalarsMeanWhatRubyMakesOfThem(t *testing.T) {
	cases := map[string]any{
		"yes": true, "On": true, "TRUE": true, "no": false, "off": false, "y": "y", "n": "n",
		"": nil, "~": nil, "null": nil, "nil": "nil",
		"10": 10, "-3": -3, "+4": 4, "0755": 493, "08": "08", "0x1f": 31, "0b101": 5, "1_000": 1000, "1,000": 1000,
		"10:30": 630, "22:22:22": 80542, "10:99": "10:99",
		"1.0": psych.Float(1), "-1.5e+3": psych.Float(-1500), "1e3": "1e3", ".5": psych.Float(0.5), ".": ".", "1.0.0": "1.0.0",
		".inf": psych.Float(math.Inf(1)), "-.inf": psych.Float(math.Inf(-1)),
		"2020-01-01": "2020-01-01", "10.0.0.1": "10.0.0.1", ":sym": ":sym",
		`"10"`: "10", "'yes'": "yes", "!!str 10": "10", "!!int 10": 10, "!!binary aGk=": "hi",
		"99999999999999999999": psych.Float(1e20),
		"|-\n  a\n  b":         "a\nb",
	}
	for text, want := range cases {
		got := parsed(t, "k: "+text+"\n")["k"]
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %#v, want %#v", text, got, want)
		}
	}
}

func TestFloatsKeepTheirFractionInTemplates(t *testing.T) {
	for in, want := range map[psych.Float]string{1: "1.0", 1.5: "1.5", 1e20: "1.0e+20", 1e15: "1000000000000000.0", 0.0001: "0.0001", 0.00001: "1.0e-05", 0: "0.0"} {
		if in.String() != want {
			t.Errorf("got %s, want %s", in, want)
		}
		if text, err := json.Marshal(in); err != nil || string(text) != want {
			t.Errorf("got JSON %s, %v, want %s", text, err, want)
		}
	}
	if _, err := json.Marshal(psych.Float(math.NaN())); err == nil {
		t.Error("NaN became JSON")
	}
}

func TestMergeKeysAndAliases(t *testing.T) {
	got := parsed(t, `
base: &base {a: 1, b: 2}
one: {<<: *base, b: 3}
two: {b: 4, <<: [*base, {c: 5}]}
same: *base
5: five
`)
	want := map[string]any{
		"base": map[string]any{"a": 1, "b": 2},
		"one":  map[string]any{"a": 1, "b": 3},
		"two":  map[string]any{"a": 1, "b": 4, "c": 5},
		"same": map[string]any{"a": 1, "b": 2},
		"5":    "five",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestWhatIsRefused(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for _, pair := range []string{"ba", "cb", "dc", "ed", "fe"} {
		bomb += pair[:1] + ": &" + pair[:1] + " [" + strings.TrimSuffix(strings.Repeat("*"+pair[1:]+", ", 10), ", ") + "]\n"
	}
	for text, want := range map[string]string{
		"a: &a [*a]":            "contains itself",
		bomb:                    "expands to more than 200000 nodes",
		"? {a: b}\n: c":         "a key must be a plain value at line 1",
		"a: {<<: 5}":            "only a hash can be merged at line 1",
		"a:\n  <<: [{b: 1}, x]": "only a hash can be merged at line 2",
		"a: " + strings.Repeat("[", 300) + strings.Repeat("]", 300): "nested deeper than 200",
		"a: [": "(<unknown>): ",
	} {
		if _, err := psych.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", text, err, want)
		}
	}
}
