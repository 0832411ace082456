package spi

import (
	"log/slog"
	"net/http"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/jsonhttp"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// NewHandler serves a Service under /v1 (openapi.yaml describes it) to whoever
// bears the token.
func NewHandler(service Service, token secret.Secret, log *slog.Logger) http.Handler {
	h := handler{service}
	mux := http.NewServeMux()
	for pattern, f := range h.routes() {
		mux.Handle(pattern, jsonhttp.Handle(log, f))
	}
	mux.Handle("/", jsonhttp.Handle(log, func(r *http.Request) (int, any, error) {
		return 0, nil, fault.New(fault.NotFound, "there is no %s %s here", r.Method, r.URL.Path)
	}))
	return jsonhttp.RequireToken(token, jsonhttp.Recover(log, mux))
}

type handler struct{ service Service }

func (h handler) routes() map[string]jsonhttp.Func {
	return map[string]jsonhttp.Func{
		"GET /v1/catalog":                                        h.catalog,
		"POST /v1/instances/{id}/prepare":                        h.prepare,
		"POST /v1/instances/{id}/configure":                      h.configure,
		"POST /v1/instances/{id}/status":                         h.status,
		"DELETE /v1/instances/{id}":                              h.remove,
		"PUT /v1/instances/{id}/bindings/{binding}":              h.bind,
		"POST /v1/instances/{id}/bindings/{binding}/credentials": h.credentials,
		"DELETE /v1/instances/{id}/bindings/{binding}":           h.unbind,
	}
}

func (h handler) catalog(r *http.Request) (int, any, error) {
	catalog, err := h.service.Catalog(r.Context())
	return http.StatusOK, catalog, err
}

// aboutInstance finishes what a body says about an instance: its id is the
// path's.
func aboutInstance(r *http.Request, body instanceBody) (Instance, error) {
	in := body.instance()
	in.ID = r.PathValue("id")
	return in, CheckID("instance id", in.ID)
}

func decodeInstance(r *http.Request) (Instance, error) {
	var body instanceRequest
	if err := jsonhttp.Decode(r, &body); err != nil {
		return Instance{}, err
	}
	return aboutInstance(r, body.Instance)
}

func decodeBinding(r *http.Request) (BindRequest, error) {
	var body bindBody
	if err := jsonhttp.Decode(r, &body); err != nil {
		return BindRequest{}, err
	}
	in, err := aboutInstance(r, body.Instance)
	if err != nil {
		return BindRequest{}, err
	}
	request := BindRequest{Instance: in, BindingID: r.PathValue("binding"), Parameters: body.Parameters, AppGUID: body.AppGUID}
	return request, CheckID("binding id", request.BindingID)
}

func (h handler) prepare(r *http.Request) (int, any, error) {
	var body prepareBody
	if err := jsonhttp.Decode(r, &body); err != nil {
		return 0, nil, err
	}
	in, err := aboutInstance(r, body.Instance)
	if err != nil {
		return 0, nil, err
	}
	p, err := h.service.Prepare(r.Context(), PrepareRequest{Instance: in, Previous: body.Previous})
	return http.StatusOK, preparationAnswer{Template: p.Template, Attributes: p.Attributes,
		SecretAttributes: p.SecretAttributes.Reveal(), Secrets: p.Secrets.Reveal()}, err
}

func (h handler) configure(r *http.Request) (int, any, error) {
	in, err := decodeInstance(r)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, done{}, h.service.Configure(r.Context(), in)
}

func (h handler) status(r *http.Request) (int, any, error) {
	in, err := decodeInstance(r)
	if err != nil {
		return 0, nil, err
	}
	status, err := h.service.Status(r.Context(), in)
	return http.StatusOK, status, err
}

func (h handler) remove(r *http.Request) (int, any, error) {
	in, err := decodeInstance(r)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, done{}, h.service.Remove(r.Context(), in)
}

func (h handler) bind(r *http.Request) (int, any, error) {
	in, err := decodeBinding(r)
	if err != nil {
		return 0, nil, err
	}
	credentials, err := h.service.Bind(r.Context(), in)
	return http.StatusOK, credentialsAnswer{credentials}, err
}

func (h handler) credentials(r *http.Request) (int, any, error) {
	in, err := decodeBinding(r)
	if err != nil {
		return 0, nil, err
	}
	credentials, err := h.service.Credentials(r.Context(), in)
	return http.StatusOK, credentialsAnswer{credentials}, err
}

func (h handler) unbind(r *http.Request) (int, any, error) {
	in, err := decodeBinding(r)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, done{}, h.service.Unbind(r.Context(), in)
}
