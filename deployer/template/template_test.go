package template_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"gopkg.in/yaml.v3"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/deployer/template"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

const minimal = "instance_groups: []\n"

func files(contents map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, content := range contents {
		tree[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return tree
}

func open(t *testing.T, sources ...map[string]string) *template.Library {
	t.Helper()
	library, err := try(sources...)
	if err != nil {
		t.Fatal(err)
	}
	return library
}

func try(sources ...map[string]string) (*template.Library, error) {
	log := slog.New(slog.DiscardHandler)
	if len(sources) == 1 {
		return template.Open(log, files(sources[0]))
	}
	return template.Open(log, files(sources[0]), files(sources[1]))
}

// render returns the parsed manifest.
func render(t *testing.T, library *template.Library, in deployer.DeployRequest) map[string]any {
	t.Helper()
	in.Name, in.Template = "sample-1", "sample"
	content, err := library.Render(in, "owner-1")
	if err != nil {
		t.Fatal(err)
	}
	var manifest map[string]any
	if err := yaml.Unmarshal(content, &manifest); err != nil {
		t.Fatalf("%v:\n%s", err, content)
	}
	return manifest
}

func TestTypesAreKept(t *testing.T) {
	declaration := "description: d\nattributes:\n"
	manifest := minimal + "properties:\n"
	for _, kind := range []string{"string", "integer", "number", "boolean", "list", "map"} {
		declaration += "- {name: a_" + kind + ", type: " + kind + ", description: d}\n"
		manifest += "  " + kind + ": ((a_" + kind + "))\n"
	}
	manifest += "  inline: x-((a_string))-((a_integer))\n  ((a_string)): key\n  path: ((a_map.inner))\n"
	library := open(t, map[string]string{"sample/template.yml": declaration, "sample/manifest.yml": manifest})
	got := render(t, library, deployer.DeployRequest{Attributes: map[string]any{
		"a_string": "text", "a_integer": float64(1000000), "a_number": 0.25, "a_boolean": true,
		"a_list": []any{"x", float64(1)}, "a_map": map[string]any{"inner": map[string]any{"n": float64(7)}}}})
	want := map[string]any{"string": "text", "integer": 1000000, "number": 0.25, "boolean": true,
		"list": []any{"x", 1}, "map": map[string]any{"inner": map[string]any{"n": 7}}, "path": map[string]any{"n": 7},
		"inline": "x-text-1000000", "text": "key"}
	if !same(t, got["properties"], want) {
		t.Errorf("got %v, want %v", got["properties"], want)
	}
	if got["name"] != "sample-1" || !same(t, got["tags"], map[string]any{"holdfast": "owner-1"}) {
		t.Errorf("name and tags: got %v, %v", got["name"], got["tags"])
	}
}

func same(t *testing.T, a, b any) bool {
	t.Helper()
	left, err := yaml.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	right, err := yaml.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(left, right)
}

// TestAttributesAreData gives values that would change the document if they
// were pasted, or that another YAML parser would read as something else.
func TestAttributesAreData(t *testing.T) {
	library := open(t, map[string]string{
		"sample/template.yml": "description: d\nattributes: [{name: value, type: string, description: d}]\n",
		"sample/manifest.yml": minimal + "properties: {value: ((value)), inline: \"<((value))>\", last: true}\n"})
	for _, value := range []string{"", " ", "a: b", "x\n- y", "x\ny: z\n", "{a: b}", "[1]", "*alias", "&anchor", "!!int 3", "# comment", "yes", "off", "null", "~",
		"1", "1.5", "1e3", "0x1f", "0o17", "017", "1_000", "1,000", "12:30:45", "2026-11-22", "2026-11-22T10:00:00Z", ":symbol", "<<", "=", "- a", "'", `"`, `\n`, "\t", "ü€", "---", "...", "%x", "@x", "`x`", "a #b", "$(x)", "<%= x %>"} {
		in := deployer.DeployRequest{Name: "sample-1", Template: "sample", Attributes: map[string]any{"value": value}, Tags: map[string]string{"tag": value}}
		content, err := library.Render(in, "owner-1")
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		var got struct {
			Properties struct {
				Value, Inline any
				Last          bool
			}
			Tags map[string]any
		}
		if err := yaml.Unmarshal(content, &got); err != nil {
			t.Errorf("%q: %v", value, err)
		}
		if got.Properties.Value != value || got.Properties.Inline != "<"+value+">" || !got.Properties.Last || got.Tags["tag"] != value {
			t.Errorf("%q: got %+v", value, got)
		}
		for line := range strings.Lines(string(content)) {
			if plain, found := strings.CutPrefix(line, "  value: "); found && strings.ContainsAny(value, ",:0123456789<=") && plain[0] != '"' && plain[0] != '|' {
				t.Errorf("%q is written without quotes: %s", value, line)
			}
		}
	}
}

func TestDirectorPlaceholdersPassThrough(t *testing.T) {
	library := open(t, map[string]string{
		"sample/template.yml": "description: d\nattributes: [{name: ca, type: string, description: d, default: ((/shared/ca))}]\n",
		"sample/manifest.yml": minimal + "properties: {ca: ((ca)), other: ((/credhub/path)), generated: ((password)), part: ((cert.private_key))}\n" +
			"variables: [{name: password, type: password}, {name: cert, type: certificate, options: {common_name: \"((deployment_name))\"}}]\n"})
	got := render(t, library, deployer.DeployRequest{})
	want := map[string]any{"ca": "((/shared/ca))", "other": "((/credhub/path))", "generated": "((password))", "part": "((cert.private_key))"}
	if !same(t, got["properties"], want) {
		t.Errorf("got %v, want %v", got["properties"], want)
	}
	if options := got["variables"].([]any)[1].(map[string]any)["options"]; !same(t, options, map[string]any{"common_name": "sample-1"}) {
		t.Errorf("variable's options: got %v", options)
	}
}

func TestOps(t *testing.T) {
	shipped := map[string]string{
		"sample/template.yml":  "description: d\nops: [add.yml]\nattributes: [{name: more, type: integer, description: d, default: 1}]\n",
		"sample/manifest.yml":  "instance_groups: [{name: a, instances: 1}]\n",
		"sample/add.yml":       "- {type: replace, path: /instance_groups/name=a/instances, value: ((more))}\n",
		"cluster/template.yml": "description: d\nmanifest: ../sample/manifest.yml\nops: [three.yml]\n",
		"cluster/three.yml":    "- {type: replace, path: /instance_groups/name=a/instances, value: 3}\n",
	}
	library := open(t, shipped, map[string]string{"sample/ops.d/10-more.yml": "- {type: replace, path: \"/instance_groups/name=a/vm_type?\", value: big}\n", "sample/ops.d/README": "no ops"})
	group := render(t, library, deployer.DeployRequest{Attributes: map[string]any{"more": float64(5)}})["instance_groups"].([]any)[0]
	if !same(t, group, map[string]any{"name": "a", "instances": 5, "vm_type": "big"}) {
		t.Errorf("got %v", group)
	}
	content, err := library.Render(deployer.DeployRequest{Name: "c", Template: "cluster"}, "o")
	if err != nil || !strings.Contains(string(content), "instances: 3") || strings.Contains(string(content), "big") {
		t.Errorf("cluster from the same manifest: got %v:\n%s", err, content)
	}
	// A template's files are its digest's.
	without := open(t, shipped)
	for name, want := range map[string]bool{"sample": false, "cluster": true} {
		a, errA := library.Template(name)
		b, errB := without.Template(name)
		if errA != nil || errB != nil || (a.Digest == b.Digest) != want {
			t.Errorf("digests of %s: %s and %s, want them equal: %t", name, a.Digest, b.Digest, want)
		}
	}
}

func TestInstallationDefaults(t *testing.T) {
	shipped := map[string]string{
		"sample/template.yml": "description: d\nattributes: [{name: zones, type: list, description: d, default: [a]}, {name: size, type: string, description: d}]\n",
		"sample/manifest.yml": minimal + "properties: {zones: ((zones)), size: ((size))}\n"}
	library := open(t, shipped, map[string]string{"defaults.yml": "zones: [x, y]\nsize: huge\n"})
	got := render(t, library, deployer.DeployRequest{})["properties"]
	if !same(t, got, map[string]any{"zones": []any{"x", "y"}, "size": "huge"}) {
		t.Errorf("got %v", got)
	}
	for defaults, want := range map[string]string{"zones: z1\n": "must be of type list", "zone: [x]\n": "zone: no template declares", "- x\n": "parse"} {
		if _, err := try(shipped, map[string]string{"defaults.yml": defaults}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", defaults, err, want)
		}
	}
}

func TestReloadKeepsWhatWorked(t *testing.T) {
	tree := files(map[string]string{"sample/template.yml": "description: first\n", "sample/manifest.yml": minimal})
	library, err := template.Open(slog.New(slog.DiscardHandler), tree)
	if err != nil {
		t.Fatal(err)
	}
	before, err := library.Template("sample")
	if err != nil {
		t.Fatal(err)
	}
	tree["sample/template.yml"] = &fstest.MapFile{Data: []byte("description: second\n")}
	tree["other/template.yml"] = &fstest.MapFile{Data: []byte("nonsense: true\n")}
	if err := library.Reload(context.Background()); err == nil {
		t.Error("a broken template was loaded")
	}
	if now, err := library.Template("sample"); err != nil || now.Digest != before.Digest {
		t.Errorf("after a failed reload: got %+v, %v, want %+v", now, err, before)
	}
	delete(tree, "other/template.yml")
	if err := library.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if now, err := library.Template("sample"); err != nil || now.Description != "second" || now.Digest == before.Digest {
		t.Errorf("after a reload: got %+v, %v", now, err)
	}
}

func TestRenderingAtTheSameTime(t *testing.T) {
	library := open(t, map[string]string{
		"sample/template.yml": "description: d\nops: [o.yml]\nattributes: [{name: m, type: map, description: d, default: {a: {b: [((/x))]}}}]\n",
		"sample/manifest.yml": minimal + "properties: {m: ((m)), n: ((m.a))}\n", "sample/o.yml": "- {type: replace, path: \"/properties/o?\", value: {p: ((m))}}\n"})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				if _, err := library.Render(deployer.DeployRequest{Name: "s", Template: "sample"}, "o"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestMapWithoutTheKeyIsInvalid(t *testing.T) {
	library := open(t, map[string]string{
		"sample/template.yml": "description: d\nattributes: [{name: m, type: map, description: d}]\n",
		"sample/manifest.yml": minimal + "properties: {m: ((m.wanted))}\n"})
	_, err := library.Render(deployer.DeployRequest{Name: "s", Template: "sample", Attributes: map[string]any{"m": map[string]any{"other": "x"}}}, "o")
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v, want it invalid", err)
	}
}

func TestSecretsStayOutOfErrors(t *testing.T) {
	const value = "hunter2((very-secret"
	library := open(t, map[string]string{
		"sample/template.yml": "description: d\nattributes: [{name: s, type: string, description: d, secret: true}]\n",
		"sample/manifest.yml": minimal + "properties: {s: ((s))}\n"})
	_, err := library.Render(deployer.DeployRequest{Name: "s", Template: "sample", SecretAttributes: secret.Values{"s": secret.New(value)}}, "o")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want a refusal without the value", err)
	}
}
