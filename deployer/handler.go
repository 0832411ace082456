package deployer

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
		"GET /v1/deployments":                        h.deployments,
		"GET /v1/deployments/{name}":                 h.deployment,
		"PUT /v1/deployments/{name}":                 h.deploy,
		"DELETE /v1/deployments/{name}":              h.delete,
		"GET /v1/deployments/{name}/operations/{id}": h.operation,
		"GET /v1/templates":                          h.templates,
		"GET /v1/templates/{name}":                   h.template,
		"POST /v1/templates/{name}/render":           h.render,
	}
}

func (h handler) deploy(r *http.Request) (int, any, error) {
	var body deployBody
	if err := jsonhttp.Decode(r, &body); err != nil {
		return 0, nil, err
	}
	body.Name = r.PathValue("name")
	return answerOperation(h.service.Deploy(r.Context(), body.request()))
}

func (h handler) delete(r *http.Request) (int, any, error) {
	var body deleteBody
	if err := jsonhttp.Decode(r, &body); err != nil {
		return 0, nil, err
	}
	return answerOperation(h.service.Delete(r.Context(), r.PathValue("name"), body.OperationID))
}

// answerOperation is 202 while the operation goes on, 200 once it has ended.
func answerOperation(op Operation, err error) (int, any, error) {
	if err != nil {
		return 0, nil, err
	}
	if op.State.Ended() {
		return http.StatusOK, op, nil
	}
	return http.StatusAccepted, op, nil
}

func (h handler) operation(r *http.Request) (int, any, error) {
	op, err := h.service.Operation(r.Context(), r.PathValue("name"), r.PathValue("id"))
	return http.StatusOK, op, err
}

func (h handler) deployment(r *http.Request) (int, any, error) {
	d, err := h.service.Deployment(r.Context(), r.PathValue("name"))
	return http.StatusOK, d, err
}

func (h handler) deployments(r *http.Request) (int, any, error) {
	list, err := h.service.Deployments(r.Context())
	if list == nil {
		list = []Deployment{} // a list on the wire, never null
	}
	return http.StatusOK, deploymentsAnswer{list}, err
}

func (h handler) templates(r *http.Request) (int, any, error) {
	list, err := h.service.Templates(r.Context())
	if list == nil {
		list = []Template{}
	}
	return http.StatusOK, templatesAnswer{list}, err
}

func (h handler) template(r *http.Request) (int, any, error) {
	t, err := h.service.Template(r.Context(), r.PathValue("name"))
	return http.StatusOK, t, err
}

func (h handler) render(r *http.Request) (int, any, error) {
	var body deployBody
	if err := jsonhttp.Decode(r, &body); err != nil {
		return 0, nil, err
	}
	body.Template = r.PathValue("name")
	manifest, err := h.service.Render(r.Context(), body.request())
	return http.StatusOK, renderAnswer{string(manifest)}, err
}
