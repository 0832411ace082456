package render_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/psych"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release/releasetest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/render"
)

// source is a job with one template for each given target.
func source(name string, templates map[string]string, properties map[string]release.Property) *release.JobSource {
	s := &release.JobSource{
		Job:       release.Job{Name: name, Templates: map[string]string{}, Properties: properties},
		Monit:     []byte("check process " + name + "\n"),
		Templates: map[string][]byte{},
	}
	for target, text := range templates {
		src := strings.ReplaceAll(target, "/", "_") + ".erb"
		s.Job.Templates[src] = target
		s.Templates[src] = []byte(text)
	}
	return s
}

func declared(names ...string) map[string]release.Property {
	m := map[string]release.Property{}
	for _, n := range names {
		m[n] = release.Property{}
	}
	return m
}

func spec() map[string]any {
	return map[string]any{
		"deployment": "dep", "name": "group", "job": map[string]any{"name": "group"}, "id": "id-0", "index": 0, "az": "z1", "bootstrap": true,
		"ip": "10.0.0.5", "address": "10.0.0.5", "persistent_disk": 1024, "lifecycle": "service",
		"release":  map[string]any{"name": "rel", "version": "1.2"},
		"networks": map[string]any{"default": map[string]any{"ip": "10.0.0.5", "netmask": "255.255.255.0", "default": []any{"dns", "gateway"}}},
	}
}

func links() map[string]manifest.Link {
	return map[string]manifest.Link{
		"db": {
			Instances: []manifest.LinkInstance{
				{Name: "db", ID: "a", Index: 0, AZ: "z1", Address: "10.0.0.7", Bootstrap: true}, {Name: "db", ID: "b", Index: 1, AZ: "z2", Address: "10.0.0.8"},
			},
			Properties: map[string]any{"port": 5432, "tls": map[string]any{"ca": "CA"}},
		},
		"one":    {Instances: []manifest.LinkInstance{{Name: "one", Address: "10.0.0.9"}}, Properties: map[string]any{}},
		"manual": {Address: "db.example.com", Instances: []manifest.LinkInstance{{Address: "10.1.0.1"}, {Address: "10.1.0.2"}}, Properties: map[string]any{"x": 1}},
	}
}

// renderOne renders a single template and returns its text.
func renderOne(t *testing.T, text string, properties map[string]any, declarations map[string]release.Property) (string, error) {
	t.Helper()
	out, err := render.New(render.Options{}).Render(t.Context(), render.Request{Instances: []render.Instance{{Group: "group", Jobs: []render.Job{{
		Source: source("j", map[string]string{"t": text}, declarations), Spec: spec(), Properties: properties, Links: links(),
	}}}}})
	if err != nil {
		return "", err
	}
	return string(fileOf(t, out[0].Jobs[0], "t").Content), nil
}

func fileOf(t *testing.T, job render.RenderedJob, path string) render.File {
	t.Helper()
	for _, f := range job.Files {
		if f.Path == path {
			return f
		}
	}
	t.Fatalf("job %s has no file %s", job.Name, path)
	return render.File{}
}

func TestTemplates(t *testing.T) {
	properties := map[string]any{
		"a": map[string]any{"b": "deep", "n": 7, "no": false, "secret": "undeclared"}, "list": []any{1, "two"}, "f": psych.Float(1),
		"hash": map[string]any{"z": 1, "a": map[string]any{"k": nil}}, "top": "undeclared", "text": "ünï \u2028 <&>\n'",
	}
	declarations := declared("a.b", "a.n", "a.no", "a.nothing", "list", "f", "hash", "text")
	declarations["d"] = release.Property{Default: "by default"}
	declarations["tree.leaf"] = release.Property{Default: []any{"x"}}
	declarations["a.over"] = release.Property{Default: 5}
	tests := map[string]struct{ template, want string }{
		"p":                       {`<%= p('a.b') %>`, "deep"},
		"number":                  {`<%= p('a.n') + 1 %>`, "8"},
		"false is a value":        {`<%= p('a.no') %>`, "false"},
		"float":                   {`<%= p('f') %>`, "1.0"},
		"hash, keys sorted":       {`<%= p('hash').to_json %>`, `{"a":{"k":null},"z":1}`},
		"p of a whole hash":       {`<%= p('a').keys.sort.join(',') %>`, "b,n,no,nothing,over"},
		"text":                    {`<%= p('text') %>`, "ünï \u2028 <&>\n'"},
		"default of the spec":     {`<%= p('d') %> <%= p('tree.leaf').first %> <%= p('a.over') %>`, "by default x 5"},
		"default of the call":     {`<%= p('a.nothing', 'other') %>`, "other"},
		"default nil":             {`<%= p('a.nothing', nil).inspect %>`, "nil"},
		"first of a list":         {`<%= p(['x', 'a.nothing', 'a.b']) %>`, "deep"},
		"list with a default":     {`<%= p(['x', 'y'], 3) %>`, "3"},
		"undeclared is invisible": {`<%= p('top', 'hidden') %> <%= p('a.secret', 'hidden') %>`, "hidden hidden"},
		"properties":              {`<%= properties.a.b %> <%= properties.top.inspect %>`, "deep nil"},
		"raw_properties":          {`<%= raw_properties['a']['n'] %>`, "7"},
		"trim mode":               {"<% 2.times do |i| -%>\nline <%= i %>\n<% end -%>\nend\n", "line 0\nline 1\nend\n"},
		"no trim without a dash":  {"<% if true %>\nx<% end %>", "\nx"},
		"if_p":                    {`<% if_p('a.b', 'a.n') do |b, n| %><%= b %><%= n %><% end.else do %>no<% end %>`, "deep7"},
		"if_p else":               {`<% if_p('a.b', 'a.nothing') do |b| %>yes<% end.else do %>no<% end %>`, "no"},
		"if_p else_if_p":          {`<% if_p('x') do %>x<% end.else_if_p('a.n') do |n| %><%= n %><% end.else do %>no<% end %>`, "7"},
		"if_p else_if_p else":     {`<% if_p('x') do %>x<% end.else_if_p('y') do %>y<% end.else do %>no<% end %>`, "no"},
		"if_p taken once":         {`<% if_p('a.n') do %>x<% end.else_if_p('a.b') do %>y<% end.else do %>no<% end %>`, "x"},
		"link":                    {`<% l = link('db') %><%= l.instances.map { |i| "#{i.name}/#{i.index} #{i.id} #{i.az} #{i.address} #{i.bootstrap}" }.join(';') %>`, "db/0 a z1 10.0.0.7 true;db/1 b z2 10.0.0.8 false"},
		"link.p":                  {`<% l = link('db') %><%= l.p('port') %> <%= l.p('tls.ca') %> <%= l.p('x', 'd') %> <%= l.p(['x', 'port']) %> <%= l.properties['port'] %>`, "5432 CA d 5432 5432"},
		"link.if_p":               {`<% link('db').if_p('port') do |v| %><%= v %><% end.else do %>no<% end %><% link('db').if_p('x') do %>x<% end.else_if_p('tls.ca') do |v| %><%= v %><% end %>`, "5432CA"},
		"link.address":            {`<%= link('one').address %> <%= link('manual').address %> <%= link('db').address(azs: ['z2']) %>`, "10.0.0.9 db.example.com 10.0.0.8"},
		"if_link":                 {`<% if_link('db') do |l| %><%= l.instances.size %><% end.else do %>no<% end %>`, "2"},
		"if_link else":            {`<% if_link('x') do |l| %>yes<% end.else_if_link('y') do %>y<% end.else do %>no<% end %>`, "no"},
		"if_link else_if_p":       {`<% if_link('x') do |l| %>yes<% end.else_if_p('a.n') do |n| %><%= n %><% end %>`, "7"},
		"spec":                    {`<%= [spec.name, spec.deployment, spec.id, spec.index, spec.az, spec.bootstrap, spec.ip, spec.address, spec.persistent_disk].join(' ') %>`, "group dep id-0 0 z1 true 10.0.0.5 10.0.0.5 1024"},
		"spec.release":            {`<%= spec.release.name %>/<%= spec.release.version %>`, "rel/1.2"},
		"spec.job":                {`<%= spec.job.name %> <%= name %> <%= index %>`, "group group 0"},
		"spec.networks":           {`<%= spec.networks.default.ip %> <%= spec.networks.methods(false).inspect %> <%= spec.networks.send(:default).netmask %>`, "10.0.0.5 [:default] 255.255.255.0"},
		"spec.properties":         {`<%= spec.properties.a.b %>`, "deep"},
		"spec of what is not":     {`<%= spec.nothing.inspect %>`, "nil"},
		"to_yaml":                 {`<%= p('list').to_yaml %>`, "---\n- 1\n- two\n"},
		"JSON.dump of a string":   {`<%= JSON.dump(p('a.b')) %>`, `"deep"`},
		"libraries":               {`<%= Base64.strict_encode64('x') %> <%= Digest::SHA256.hexdigest('')[0, 4] %> <%= Shellwords.escape('a b') %> <%= IPAddr.new('10.0.0.0/24').include?('10.0.0.9') %> <%= URI.parse('http://h/p').host %>`, `eA== e3b0 a\ b true h`},
		"printing is not output":  {`<% puts 'noise'; $stdout.puts 'noise'; system('echo noise'); STDOUT.puts 'noise' %>quiet`, "quiet"},
		"nothing on stdin":        {`<%= $stdin.read.inspect %>`, `""`},
		"environment is empty":    {`<%= (ENV.keys - %w[PATH LANG HOME]).inspect %>`, "[]"},
		"rescue by name":          {`<% begin; p('x'); rescue Bosh::Template::UnknownProperty => e %><%= e.name.inspect %><% end %>`, `["x"]`},
	}
	t.Setenv("HOLDFAST_TEST_SECRET", "x")
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := renderOne(t, tc.template, properties, declarations)
			if err != nil || got != tc.want {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

// What a template does to its properties is not seen by the next one.
func TestTemplatesAreIsolated(t *testing.T) {
	text := `<% raw_properties['h']['x'] = 1; p('l') << 1; spec.name = 'other' %><%= p('h').size %><%= p('l').size %><%= spec.name %>`
	job := render.Job{Source: source("j", map[string]string{"t1": text, "t2": text}, declared("h", "l")), Spec: spec(), Properties: map[string]any{"h": map[string]any{}, "l": []any{}}}
	out, err := render.New(render.Options{}).Render(t.Context(), render.Request{Instances: []render.Instance{{Group: "g", Jobs: []render.Job{job}}, {Group: "g", Jobs: []render.Job{job}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, instance := range out {
		for _, path := range []string{"t1", "t2"} {
			if got := string(fileOf(t, instance.Jobs[0], path).Content); got != "11other" {
				t.Errorf("%s is %q, want 11other", path, got)
			}
		}
	}
}

func TestBinaryTemplate(t *testing.T) {
	raw := "\xff\xfe\x00binary\x80"
	got, err := renderOne(t, raw, nil, nil)
	if err != nil || got != raw {
		t.Errorf("got %q, %v; want %q", got, err, raw)
	}
}

func TestArchive(t *testing.T) {
	request := func(value string) render.Request {
		a := source("a", map[string]string{"bin/run": "#!/bin/bash\n", "config/deep/er/x": "<%= p('v') %>"}, declared("v"))
		b := source("b", map[string]string{"y": "z"}, nil)
		jobs := []render.Job{{Source: b, Spec: spec()}, {Source: a, Spec: spec(), Properties: map[string]any{"v": value}}}
		return render.Request{Instances: []render.Instance{{Group: "g", Jobs: jobs}}}
	}
	results := map[string]render.Rendered{}
	for name, value := range map[string]string{"first": "1", "again": "1", "other": "2"} {
		out, err := render.New(render.Options{}).Render(t.Context(), request(value))
		if err != nil {
			t.Fatal(err)
		}
		results[name] = out[0]
	}
	first, again, other := results["first"], results["again"], results["other"]
	if first.ArchiveDigest != again.ArchiveDigest || !bytes.Equal(first.Archive, again.Archive) || first.ConfigurationHash != again.ConfigurationHash {
		t.Error("equal input makes different archives")
	}
	if first.ArchiveDigest == other.ArchiveDigest || first.ConfigurationHash == other.ConfigurationHash || first.TemplateHashes()["a"] == other.TemplateHashes()["a"] {
		t.Error("different input makes equal hashes")
	}
	if first.TemplateHashes()["b"] != other.TemplateHashes()["b"] {
		t.Error("the hash of an unchanged job differs")
	}
	want := `a/ 750
a/bin/ 750
a/config/ 750
a/config/deep/ 750
a/config/deep/er/ 750
a/bin/run 750 "#!/bin/bash\n"
a/config/deep/er/x 640 "1"
a/monit 640 "check process a\n"
b/ 750
b/monit 640 "check process b\n"
b/y 640 "z"
`
	if got := listing(t, first.Archive); got != want {
		t.Errorf("archive has\n%s\nwant\n%s", got, want)
	}
}

func listing(t *testing.T, archive []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s %o", h.Name, h.Mode)
		if h.Typeflag == tar.TypeReg {
			fmt.Fprintf(&out, " %q", content)
		}
		out.WriteString("\n")
	}
}

// The release of the end-to-end tests, as the bosh CLI packs it.
func TestDummyRelease(t *testing.T) {
	store, err := release.OpenStore(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	rel, err := store.AddRelease(t.Context(), releasetest.Create(t, releasetest.DummyRelease(t), "dummy", "1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	web, _ := rel.Job("web")
	src, err := store.JobSource(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	peers := map[string]manifest.Link{"peers": {Instances: links()["db"].Instances, Properties: map[string]any{"port": 8080, "greeting": "hi"}}}
	out, err := render.New(render.Options{}).Render(t.Context(), render.Request{Instances: []render.Instance{{Group: "web", Jobs: []render.Job{
		{Source: src, Spec: spec(), Properties: map[string]any{"password": "s3cret", "drain": map[string]any{"polls": 2}}, Links: peers},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	job := out[0].Jobs[0]
	if got, want := string(fileOf(t, job, "config/web.env").Content), "PORT=8080\nDRAIN_POLLS=2\nFAIL_PRE_START=false\nFAIL_POST_START=false\n"; got != want {
		t.Errorf("web.env is %q, want %q", got, want)
	}
	if got, want := string(fileOf(t, job, "config/peers").Content), "db/0 z1 10.0.0.7:8080 hi\ndb/1 z2 10.0.0.8:8080 hi\n"; got != want {
		t.Errorf("peers is %q, want %q", got, want)
	}
	if got := string(fileOf(t, job, "config/web.json").Content); !strings.Contains(got, `"password_length": 6,`) || !strings.Contains(got, `"release": "rel/1.2"`) {
		t.Errorf("web.json is %s", got)
	}
	if f := fileOf(t, job, "bin/drain"); f.Mode != 0o750 {
		t.Errorf("mode of bin/drain is %o", f.Mode)
	}
}
