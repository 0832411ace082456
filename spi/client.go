package spi

import (
	"context"
	"net/http"
	"time"

	"github.com/holdfast-osb/holdfast/internal/jsonhttp"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// callTimeout is longer than a provider's own bound on working with its
// service, so that the provider's reason arrives instead of a time-out.
const callTimeout = 40 * time.Second

// Client is a Service over HTTP. It retries nothing: every call may be
// repeated, by its caller.
type Client struct{ api *jsonhttp.Client }

var _ Service = (*Client)(nil)

// NewClient makes a client for the provider at url ("http://host:port").
func NewClient(url string, token secret.Secret) (*Client, error) {
	api, err := jsonhttp.NewClient(url, token, callTimeout)
	if err != nil {
		return nil, err
	}
	return &Client{api: api}, nil
}

// Close drops idle connections.
func (c *Client) Close() { c.api.Close() }

// Catalog calls GET /v1/catalog.
func (c *Client) Catalog(ctx context.Context) (Catalog, error) {
	var catalog Catalog
	_, err := c.api.Do(ctx, http.MethodGet, []string{"v1", "catalog"}, nil, &catalog)
	return catalog, err
}

// Prepare calls POST /v1/instances/{id}/prepare.
func (c *Client) Prepare(ctx context.Context, in PrepareRequest) (Preparation, error) {
	var answer preparationAnswer
	body := prepareBody{Instance: newInstanceBody(in.Instance), Previous: in.Previous}
	if err := c.aboutInstance(ctx, http.MethodPost, in.Instance.ID, body, &answer, "prepare"); err != nil {
		return Preparation{}, err
	}
	return Preparation{Template: answer.Template, Attributes: answer.Attributes,
		SecretAttributes: secret.FromPlain(answer.SecretAttributes), Secrets: secret.FromPlain(answer.Secrets)}, nil
}

// Configure calls POST /v1/instances/{id}/configure.
func (c *Client) Configure(ctx context.Context, in Instance) error {
	return c.aboutInstance(ctx, http.MethodPost, in.ID, instanceRequest{newInstanceBody(in)}, nil, "configure")
}

// Status calls POST /v1/instances/{id}/status.
func (c *Client) Status(ctx context.Context, in Instance) (Status, error) {
	var status Status
	err := c.aboutInstance(ctx, http.MethodPost, in.ID, instanceRequest{newInstanceBody(in)}, &status, "status")
	return status, err
}

// Remove calls DELETE /v1/instances/{id}.
func (c *Client) Remove(ctx context.Context, in Instance) error {
	return c.aboutInstance(ctx, http.MethodDelete, in.ID, instanceRequest{newInstanceBody(in)}, nil)
}

// Bind calls PUT /v1/instances/{id}/bindings/{binding}.
func (c *Client) Bind(ctx context.Context, in BindRequest) (Credentials, error) {
	var answer credentialsAnswer
	err := c.aboutBinding(ctx, http.MethodPut, in, &answer)
	return answer.Credentials, err
}

// Credentials calls POST /v1/instances/{id}/bindings/{binding}/credentials.
func (c *Client) Credentials(ctx context.Context, in BindRequest) (Credentials, error) {
	var answer credentialsAnswer
	err := c.aboutBinding(ctx, http.MethodPost, in, &answer, "credentials")
	return answer.Credentials, err
}

// Unbind calls DELETE /v1/instances/{id}/bindings/{binding}.
func (c *Client) Unbind(ctx context.Context, in BindRequest) error {
	return c.aboutBinding(ctx, http.MethodDelete, in, nil)
}

// The ids are checked on this side as well: one that is no path element would
// reach another route.
func (c *Client) aboutInstance(ctx context.Context, method, id string, in, out any, rest ...string) error {
	if err := CheckID("instance id", id); err != nil {
		return err
	}
	_, err := c.api.Do(ctx, method, append([]string{"v1", "instances", id}, rest...), in, out)
	return err
}

func (c *Client) aboutBinding(ctx context.Context, method string, in BindRequest, out any, rest ...string) error {
	if err := CheckID("binding id", in.BindingID); err != nil {
		return err
	}
	return c.aboutInstance(ctx, method, in.Instance.ID, newBindBody(in), out, append([]string{"bindings", in.BindingID}, rest...)...)
}
