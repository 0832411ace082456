package deployer

import "github.com/holdfast-osb/holdfast/internal/secret"

// deployBody is a DeployRequest on the wire; the name, or for a render the
// template, is in the path.
type deployBody struct {
	Name             string            `json:"name,omitempty"`
	OperationID      string            `json:"operation_id,omitempty"`
	Template         string            `json:"template,omitempty"`
	Attributes       map[string]any    `json:"attributes,omitempty"`
	SecretAttributes map[string]string `json:"secret_attributes,omitempty"`
	Tags             map[string]string `json:"tags,omitempty"`
}

func newDeployBody(in DeployRequest) deployBody {
	return deployBody{Name: in.Name, OperationID: in.OperationID, Template: in.Template,
		Attributes: in.Attributes, SecretAttributes: in.SecretAttributes.Reveal(), Tags: in.Tags}
}

func (b deployBody) request() DeployRequest {
	return DeployRequest{Name: b.Name, OperationID: b.OperationID, Template: b.Template,
		Attributes: b.Attributes, SecretAttributes: secret.FromPlain(b.SecretAttributes), Tags: b.Tags}
}

// deleteBody names the operation that a DELETE is.
type deleteBody struct {
	OperationID string `json:"operation_id"`
}

type renderAnswer struct {
	Manifest string `json:"manifest"`
}

type deploymentsAnswer struct {
	Deployments []Deployment `json:"deployments"`
}

type templatesAnswer struct {
	Templates []Template `json:"templates"`
}
