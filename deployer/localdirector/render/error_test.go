package render_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/render"
)

func TestAllErrorsInTheDirectorsWords(t *testing.T) {
	web := source("web", map[string]string{"a": "x\n\n<%= p('a') %>", "b": "<%= link('db2').p('port') %>", "c": "fine"}, nil)
	log := source("log", map[string]string{"d": "<% raise \"two\nlines\" %>"}, nil)
	log.Monit = []byte("<%= p(['x', 'y.z']) %>")
	db := source("db", map[string]string{"e": "<% if spec.index == 1 %><%= p('only.one') %><% end %>"}, declared("only.one"))
	instance := func(group string, index int, sources ...*release.JobSource) render.Instance {
		in := render.Instance{Group: group}
		for _, s := range sources {
			sp := spec()
			sp["index"] = index
			in.Jobs = append(in.Jobs, render.Job{Source: s, Spec: sp, Links: links()})
		}
		return in
	}
	_, err := render.New(render.Options{}).Render(t.Context(), render.Request{Instances: []render.Instance{
		instance("web", 0, web, log), instance("web", 1, web, log), instance("db", 0, db), instance("db", 1, db),
	}})
	var fault *render.Error
	if !errors.As(err, &fault) {
		t.Fatalf("error is %v", err)
	}
	want := `Unable to render instance groups for deployment. Errors are:
  - Unable to render jobs for instance group 'web'. Errors are:
    - Unable to render templates for job 'web'. Errors are:
      - Error filling in template 'a.erb' (line 3: Can't find property '["a"]')
      - Error filling in template 'b.erb' (line 1: Can't find link 'db2')
    - Unable to render templates for job 'log'. Errors are:
      - Error filling in template 'monit' (line 1: Can't find property '["x", "y.z"]')
      - Error filling in template 'd.erb' (line 1: two
      lines)
  - Unable to render jobs for instance group 'db'. Errors are:
    - Unable to render templates for job 'db'. Errors are:
      - Error filling in template 'e.erb' (line 1: Can't find property '["only.one"]')`
	if fault.Message != want {
		t.Errorf("message is\n%s\nwant\n%s", fault.Message, want)
	}
}

func TestErrorsGiveNoSecretAway(t *testing.T) {
	secret := "s3cret-\"quoted\"\nline"
	properties := map[string]any{"password": secret, "tree": map[string]any{"key": secret}}
	tests := map[string]struct{ template, want string }{
		"method of a string":    {`<%= p('password').foo %>`, "undefined method `foo' for an instance of String"},
		"method of a struct":    {`<%= properties.tree.key.foo %>`, "for an instance of String"},
		"method of the context": {`<%= foo %>`, "undefined local variable or method `foo' for an instance of Bosh::Template::EvaluationContext"},
		"method of nil":         {`<%= nil.foo %>`, "undefined method `foo' for nil"},
		"method of a module":    {`<%= JSON.foo %>`, "undefined method `foo' for JSON:Module"},
		"not a number":          {`<%= Integer(p('password')) %>`, "invalid value for Integer(): \"<redacted>\""},
		"not JSON":              {`<%= JSON.parse(p('password')) %>`, "unexpected token)"},
		"said by the template":  {`<% raise "bad password #{p('password')}" %>`, "bad password <redacted>)"},
		"inspected":             {`<% raise p('tree').inspect %>`, `{"key"=>"<redacted>"}`},
		"syntax error":          {"x\n<%= 1 + %>\n", "(line 2: j/t.erb:2: syntax error"},
		"exit":                  {`<% exit 3 %>`, "the template ended the process (exit status 3)"},
		"abort":                 {`<% abort %>`, "the template ended the process (exit status 1)"},
		"stack overflow":        {`<% def f = f; f %>`, "stack level too deep"},
		"memory":                {`<% 'x' * (3 << 30) %>`, "failed to allocate memory"},
		"too many":              {`<%= link('db').address %>`, "Link 'db' has 2 instances that fit and no address of its own"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := render.New(render.Options{}).Render(t.Context(), render.Request{Secrets: []string{secret, "", "e"}, Instances: []render.Instance{{Group: "g", Jobs: []render.Job{
				{Source: source("j", map[string]string{"t": tc.template}, declared("password", "tree")), Spec: spec(), Properties: properties, Links: links()}}}}})
			var fault *render.Error
			if !errors.As(err, &fault) || !strings.Contains(fault.Message, tc.want) {
				t.Fatalf("error is %v, want one with %q", err, tc.want)
			}
			if strings.Contains(fault.Message, "s3cret") {
				t.Errorf("error gives the secret away: %v", err)
			}
		})
	}
}

func TestPropertyOfTheWrongKind(t *testing.T) {
	_, err := renderOne(t, "x", map[string]any{"a": "text"}, declared("a.b"))
	var fault *render.Error
	if !errors.As(err, &fault) || !strings.Contains(fault.Message, "Property 'a.b' expects a hash, but received 'String'") {
		t.Errorf("error is %v", err)
	}
}

func TestRubyMissing(t *testing.T) {
	for _, ruby := range []string{"no-such-ruby", "/no/such/ruby"} {
		_, err := render.New(render.Options{Ruby: ruby}).Render(t.Context(), oneTemplate("x"))
		if err == nil || !strings.Contains(err.Error(), "apt-get install --yes ruby") {
			t.Errorf("error is %v", err)
		}
	}
}

func oneTemplate(text string) render.Request {
	return render.Request{Instances: []render.Instance{{Group: "g", Jobs: []render.Job{{Source: source("j", map[string]string{"t": text}, nil), Spec: spec()}}}}}
}

func TestEndlessTemplate(t *testing.T) {
	start := time.Now()
	_, err := render.New(render.Options{Timeout: 3 * time.Second}).Render(t.Context(), oneTemplate("<% loop {} %>"))
	if err == nil || !strings.Contains(err.Error(), "took longer than 3s, while filling in template 't.erb' of job 'j'") {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("it took %s to give up", took)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := render.New(render.Options{}).Render(ctx, oneTemplate("<% sleep %>"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
}

// A template that does not let itself be interrupted, and starts a process that outlives it.
func TestStubbornTemplate(t *testing.T) {
	pidfile := filepath.Join(t.TempDir(), "pid")
	text := fmt.Sprintf("<%% Signal.trap('TERM', 'IGNORE'); File.write(%q, spawn('sleep 600').to_s); loop {} %%>", pidfile)
	_, err := render.New(render.Options{Timeout: 3 * time.Second}).Render(t.Context(), oneTemplate(text))
	if err == nil || !strings.Contains(err.Error(), "took longer") {
		t.Errorf("error is %v", err)
	}
	pidText, err := os.ReadFile(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(pidText))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the process that the template started runs on")
		}
	}
}

func TestTooMuchOutput(t *testing.T) {
	_, err := render.New(render.Options{OutputLimit: 1 << 20}).Render(t.Context(), oneTemplate("<%= 'x' * (4 << 20) %>"))
	if err == nil || !strings.Contains(err.Error(), "more than 1 MiB") {
		t.Errorf("error is %v", err)
	}
}

func TestProcessEndedByTemplate(t *testing.T) {
	for name, text := range map[string]string{"exit!": "<% exit! %>", "killed": "<% Process.kill(:KILL, $$); sleep %>", "replaced": "<% exec('true') %>"} {
		t.Run(name, func(t *testing.T) {
			_, err := render.New(render.Options{}).Render(t.Context(), oneTemplate(text))
			if err == nil || !strings.Contains(err.Error(), "render templates: ruby") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestNothingToRender(t *testing.T) {
	out, err := render.New(render.Options{}).Render(t.Context(), render.Request{Instances: []render.Instance{{Group: "g"}}})
	if err != nil || len(out) != 1 || out[0].ConfigurationHash == "" || len(out[0].Archive) == 0 {
		t.Errorf("got %+v, %v", out, err)
	}
}

// BenchmarkRender renders ten templates for each of three instances.
func BenchmarkRender(b *testing.B) {
	templates := map[string]string{}
	for i := range 10 {
		templates[fmt.Sprintf("config/%d", i)] = "<%= JSON.pretty_generate('a' => p('a'), 'ip' => spec.ip, 'db' => link('db').instances.map(&:address)) %>\n"
	}
	src := source("j", templates, declared("a"))
	req := render.Request{}
	for range 3 {
		req.Instances = append(req.Instances, render.Instance{Group: "g", Jobs: []render.Job{{Source: src, Spec: spec(), Properties: map[string]any{"a": "x"}, Links: links()}}})
	}
	for b.Loop() {
		if _, err := render.New(render.Options{}).Render(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}

func TestPropertiesWithinProperties(t *testing.T) {
	given := map[string]any{"a": map[string]any{"x": 1}}
	declarations := declared("a", "a.b")
	declarations["a.b"] = release.Property{Default: 2}
	got, err := renderOne(t, "<%= p('a').to_json %>", given, declarations)
	if err != nil || got != `{"b":2,"x":1}` {
		t.Errorf("got %s, %v", got, err)
	}
	if len(given["a"].(map[string]any)) != 1 {
		t.Errorf("the manifest's own hash was changed to %v", given)
	}
}
