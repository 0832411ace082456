package template

import (
	"fmt"

	boshtemplate "github.com/cloudfoundry/bosh-cli/v7/director/template"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
)

// redacted stands for a secret in a manifest that people are shown.
const redacted = "[redacted]"

// values checks a request against the declaration and completes it with the
// defaults. Every fault is Invalid and names its attribute.
func (c *compiled) values(in deployer.DeployRequest, redact bool) (map[string]any, error) {
	values := map[string]any{nameAttribute: in.Name}
	for _, a := range c.declaration.Attributes {
		plain, given := in.Attributes[a.Name]
		hidden, givenSecret := in.SecretAttributes[a.Name]
		field := "attributes." + a.Name
		if a.Secret {
			field = "secret_attributes." + a.Name
		}
		switch {
		case a.Secret && given:
			return nil, fault.InvalidField("attributes."+a.Name, "is a secret of template %s: give it among the secret attributes", c.name)
		case !a.Secret && givenSecret:
			return nil, fault.InvalidField("secret_attributes."+a.Name, "is no secret of template %s: give it among the attributes", c.name)
		case givenSecret:
			plain = hidden.Reveal()
		case !given && a.Default == nil:
			return nil, fault.InvalidField(field, "is required by template %s", c.name)
		case !given:
			plain = a.Default
		}
		value, err := kind(a.Type).value(plain)
		if err != nil {
			return nil, fault.InvalidField(field, "%s", err)
		}
		if (given || givenSecret) && holdsPlaceholder(value) {
			return nil, fault.InvalidField(field, `must not hold "((": the director would resolve it`)
		}
		values[a.Name] = value
		if a.Secret && redact {
			values[a.Name] = redacted
		}
	}
	for name := range in.Attributes {
		if !c.declares(name) {
			return nil, fault.InvalidField("attributes."+name, "is not declared by template %s", c.name)
		}
	}
	for name := range in.SecretAttributes {
		if !c.declares(name) {
			return nil, fault.InvalidField("secret_attributes."+name, "is not declared by template %s", c.name)
		}
	}
	return values, nil
}

// render fills the manifest in and sets the deployment's name and tags.
func (c *compiled) render(values map[string]any, tags map[string]string) ([]byte, error) {
	manifest, err := c.manifest.Evaluate(boshtemplate.StaticVariables(values), c.ops, boshtemplate.EvaluateOpts{})
	if err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	return finish(manifest, values[nameAttribute].(string), tags)
}

// checkTags refuses tags that are ours or that the director would resolve.
func checkTags(tags map[string]string) error {
	for key, value := range tags {
		switch {
		case key == "":
			return fault.InvalidField("tags", "must not have an empty key")
		case key == deployer.TagKey:
			return fault.InvalidField("tags."+key, "is set by the deployer")
		case holdsPlaceholder(key) || holdsPlaceholder(value):
			return fault.InvalidField("tags."+key, `must not hold "((": the director would resolve it`)
		}
	}
	return nil
}
