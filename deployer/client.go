package deployer

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-osb/holdfast/internal/jsonhttp"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// callTimeout is longer than the deployer's own bound on a call to its
// director, so that the deployer's reason arrives instead of a time-out.
const callTimeout = 30 * time.Second

// Client is a Service over HTTP. It retries nothing: every call may be
// repeated, by its caller.
type Client struct{ api *jsonhttp.Client }

var _ Service = (*Client)(nil)

// NewClient makes a client for the deployer at url ("http://host:port").
func NewClient(url string, token secret.Secret) (*Client, error) {
	api, err := jsonhttp.NewClient(url, token, callTimeout)
	if err != nil {
		return nil, err
	}
	return &Client{api: api}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.api.Close() }

// Deploy calls PUT /v1/deployments/{name}.
func (c *Client) Deploy(ctx context.Context, in DeployRequest) (Operation, error) {
	if err := CheckName(in.Name); err != nil { // a name that is no path element reaches another route
		return Operation{}, err
	}
	return call[Operation](ctx, c, http.MethodPut, newDeployBody(in), "v1", "deployments", in.Name)
}

// Delete calls DELETE /v1/deployments/{name}.
func (c *Client) Delete(ctx context.Context, name, operationID string) (Operation, error) {
	if err := CheckName(name); err != nil {
		return Operation{}, err
	}
	return call[Operation](ctx, c, http.MethodDelete, deleteBody{operationID}, "v1", "deployments", name)
}

// Deployment calls GET /v1/deployments/{name}.
func (c *Client) Deployment(ctx context.Context, name string) (Deployment, error) {
	if err := CheckName(name); err != nil {
		return Deployment{}, err
	}
	return call[Deployment](ctx, c, http.MethodGet, nil, "v1", "deployments", name)
}

// Operation calls GET /v1/deployments/{name}/operations/{id}.
func (c *Client) Operation(ctx context.Context, name, operationID string) (Operation, error) {
	if err := CheckName(name); err != nil {
		return Operation{}, err
	}
	if err := CheckOperationID(operationID); err != nil {
		return Operation{}, err
	}
	return call[Operation](ctx, c, http.MethodGet, nil, "v1", "deployments", name, "operations", operationID)
}

// Deployments calls GET /v1/deployments.
func (c *Client) Deployments(ctx context.Context) ([]Deployment, error) {
	answer, err := call[deploymentsAnswer](ctx, c, http.MethodGet, nil, "v1", "deployments")
	return answer.Deployments, err
}

// Templates calls GET /v1/templates.
func (c *Client) Templates(ctx context.Context) ([]Template, error) {
	answer, err := call[templatesAnswer](ctx, c, http.MethodGet, nil, "v1", "templates")
	return answer.Templates, err
}

// Template calls GET /v1/templates/{name}.
func (c *Client) Template(ctx context.Context, name string) (Template, error) {
	if err := CheckTemplateName(name); err != nil {
		return Template{}, err
	}
	return call[Template](ctx, c, http.MethodGet, nil, "v1", "templates", name)
}

// Render calls POST /v1/templates/{name}/render.
func (c *Client) Render(ctx context.Context, in DeployRequest) ([]byte, error) {
	if err := CheckTemplateName(in.Template); err != nil {
		return nil, err
	}
	answer, err := call[renderAnswer](ctx, c, http.MethodPost, newDeployBody(in), "v1", "templates", in.Template, "render")
	if err != nil {
		return nil, err
	}
	return []byte(answer.Manifest), nil
}

func call[T any](ctx context.Context, c *Client, method string, in any, path ...string) (T, error) {
	var out T
	if _, err := c.api.Do(ctx, method, path, in, &out); err != nil {
		var none T
		return none, err
	}
	return out, nil
}
