package deployertest

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// required finds a required attribute of each sort.
func (r *run) required(in deployer.DeployRequest) (plain, hidden string) {
	r.Helper()
	t, err := r.Service.Template(r.ctx, in.Template)
	if err != nil {
		r.Fatal(err)
	}
	for _, a := range t.Attributes {
		switch {
		case a.Default != nil:
		case a.Secret:
			hidden = a.Name
		case a.Type == "string":
			plain = a.Name
		}
	}
	if plain == "" || hidden == "" {
		r.Fatalf("template %s has not both a required string and a required secret", in.Template)
	}
	return plain, hidden
}

func testInvalid(t *testing.T, f Fixture) {
	r := newRun(t, f)
	base := r.request()
	plain, hidden := r.required(base)
	cases := map[string]struct {
		change func(*deployer.DeployRequest)
		field  string
	}{
		"missing attribute":        {func(in *deployer.DeployRequest) { delete(in.Attributes, plain) }, "attributes." + plain},
		"null attribute":           {func(in *deployer.DeployRequest) { in.Attributes[plain] = nil }, "attributes." + plain},
		"undeclared attribute":     {func(in *deployer.DeployRequest) { in.Attributes["nonsense"] = 1 }, "attributes.nonsense"},
		"wrong type":               {func(in *deployer.DeployRequest) { in.Attributes[plain] = []any{1} }, "attributes." + plain},
		"placeholder":              {func(in *deployer.DeployRequest) { in.Attributes[plain] = "x((/secret))" }, "attributes." + plain},
		"missing secret":           {func(in *deployer.DeployRequest) { delete(in.SecretAttributes, hidden) }, "secret_attributes." + hidden},
		"undeclared secret":        {func(in *deployer.DeployRequest) { in.SecretAttributes["nonsense"] = secret.New("x") }, "secret_attributes.nonsense"},
		"placeholder in a secret":  {func(in *deployer.DeployRequest) { in.SecretAttributes[hidden] = secret.New("((x))") }, "secret_attributes." + hidden},
		"secret among attributes":  {func(in *deployer.DeployRequest) { in.Attributes[hidden] = "open" }, "attributes." + hidden},
		"attribute among secrets":  {func(in *deployer.DeployRequest) { in.SecretAttributes[plain] = secret.New("x") }, "secret_attributes." + plain},
		"our tag":                  {func(in *deployer.DeployRequest) { in.Tags = map[string]string{deployer.TagKey: "x"} }, "tags." + deployer.TagKey},
		"placeholder in a tag":     {func(in *deployer.DeployRequest) { in.Tags = map[string]string{"a": "((b))"} }, "tags.a"},
		"empty name":               {func(in *deployer.DeployRequest) { in.Name = "" }, "name"},
		"name with capitals":       {func(in *deployer.DeployRequest) { in.Name = "Conformance" }, "name"},
		"name that leaves a path":  {func(in *deployer.DeployRequest) { in.Name = "../tasks" }, "name"},
		"overlong name":            {func(in *deployer.DeployRequest) { in.Name = strings.Repeat("n", 64) }, "name"},
		"no operation id":          {func(in *deployer.DeployRequest) { in.OperationID = "" }, "operation_id"},
		"operation id with spaces": {func(in *deployer.DeployRequest) { in.OperationID = "an operation" }, "operation_id"},
		"overlong operation id":    {func(in *deployer.DeployRequest) { in.OperationID = strings.Repeat("x", 65) }, "operation_id"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := copyOf(base)
			c.change(&in)
			_, err := r.Service.Deploy(r.ctx, in)
			if !fault.Is(err, fault.Invalid) || fault.From(err).Field != c.field {
				t.Errorf("deploy: got %s, want invalid, field %q", describe(err), c.field)
			}
			if c.field == "operation_id" {
				return // a render has none
			}
			if _, err := r.Service.Render(r.ctx, in); !fault.Is(err, fault.Invalid) || fault.From(err).Field != c.field {
				t.Errorf("render: got %s, want invalid, field %q", describe(err), c.field)
			}
		})
	}
	_, err := r.Service.Deployment(r.ctx, base.Name)
	r.wantKind("read the deployment after refusals", err, fault.NotFound)
}

func copyOf(in deployer.DeployRequest) deployer.DeployRequest {
	in.Attributes, in.SecretAttributes = maps.Clone(in.Attributes), maps.Clone(in.SecretAttributes)
	return in
}

func testForeignOperation(t *testing.T, f Fixture) {
	r := newRun(t, f)
	in := r.request()
	r.mustDeploy(in)
	other := in
	other.Name = in.Name + "-other"
	_, err := r.Service.Deploy(r.ctx, other)
	r.wantKind("deploy another deployment as the same operation", err, fault.Invalid)
	_, err = r.Service.Delete(r.ctx, in.Name, in.OperationID)
	r.wantKind("delete as the deploy's operation", err, fault.Invalid)
	_, err = r.Service.Operation(r.ctx, other.Name, in.OperationID)
	r.wantKind("read the operation through another deployment", err, fault.Invalid)
	_, err = r.Service.Deployment(r.ctx, in.Name)
	if err != nil {
		t.Errorf("the deployment: %v", err)
	}
}

func testNotFound(t *testing.T, f Fixture) {
	r := newRun(t, f)
	in := r.request()
	in.Template = "nonsense"
	_, err := r.Service.Deploy(r.ctx, in)
	r.wantKind("deploy of an unknown template", err, fault.NotFound)
	_, err = r.Service.Render(r.ctx, in)
	r.wantKind("render of an unknown template", err, fault.NotFound)
	_, err = r.Service.Template(r.ctx, in.Template)
	r.wantKind("an unknown template", err, fault.NotFound)
	_, err = r.Service.Template(r.ctx, "../x")
	r.wantKind("a template with a path", err, fault.NotFound)
	_, err = r.Service.Operation(r.ctx, in.Name, newID())
	r.wantKind("an unknown operation", err, fault.NotFound)
	_, err = r.Service.Deployment(r.ctx, in.Name)
	r.wantKind("an unknown deployment", err, fault.NotFound)
}

func testTemplates(t *testing.T, f Fixture) {
	r := newRun(t, f)
	list, err := r.Service.Templates(r.ctx)
	if err != nil || len(list) == 0 {
		t.Fatalf("got %v, %v", list, err)
	}
	if !slices.IsSortedFunc(list, func(a, b deployer.Template) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("not sorted: %v", list)
	}
	for _, want := range list {
		if !strings.HasPrefix(want.Digest, "sha256:") || want.Description == "" {
			t.Errorf("template %s: got digest %q, description %q", want.Name, want.Digest, want.Description)
		}
		got, err := r.Service.Template(r.ctx, want.Name)
		if err != nil || got.Name != want.Name || got.Digest != want.Digest || len(got.Attributes) != len(want.Attributes) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

func testRender(t *testing.T, f Fixture) {
	r := newRun(t, f)
	in := r.request()
	in.OperationID = ""
	manifest, err := r.Service.Render(r.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(manifest, []byte("name: "+in.Name+"\n")) {
		t.Errorf("the manifest has not the deployment's name:\n%s", manifest)
	}
	for name, value := range in.SecretAttributes {
		if bytes.Contains(manifest, []byte(value.Reveal())) {
			t.Errorf("the manifest shows secret %s", name)
		}
	}
	again, err := r.Service.Render(r.ctx, in)
	if err != nil || !bytes.Equal(manifest, again) {
		t.Errorf("rendering again gives another manifest (%v)", err)
	}
}
