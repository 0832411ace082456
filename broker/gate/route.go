package gate

import (
	"net/http"
	"net/url"
	"regexp"
	"sort"
	"strings"
)

// Request is what the gate has understood of a request.
type Request struct {
	Verb       string // "provision", "bind", …
	InstanceID string
	BindingID  string
	ServiceID  string // from the body or the query, may be empty
	PlanID     string // likewise
}

// verbs names what a method on a resource is.
var verbs = map[string]map[string]string{
	"catalog":                {http.MethodGet: "catalog"},
	"instance":               {http.MethodGet: "fetch_instance", http.MethodPut: "provision", http.MethodPatch: "update", http.MethodDelete: "deprovision"},
	"instance_operation":     {http.MethodGet: "last_operation"},
	"binding":                {http.MethodGet: "fetch_binding", http.MethodPut: "bind", http.MethodDelete: "unbind"},
	"binding_last_operation": {http.MethodGet: "last_binding_operation"},
}

// idPattern is what ids of instances and bindings may be: they go into names
// and paths, and nothing in them can be decoded in two ways.
var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// route finds the resource of a path as it was sent, before any decoding.
func route(path string) (resource string, req Request, ok bool) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	is := func(pattern ...string) bool {
		if len(parts) != len(pattern) {
			return false
		}
		for i, p := range pattern {
			if p != "" && parts[i] != p {
				return false
			}
		}
		return true
	}
	switch {
	case is("v2", "catalog"):
		return "catalog", req, true
	case is("v2", "service_instances", ""):
		return "instance", Request{InstanceID: parts[2]}, true
	case is("v2", "service_instances", "", "last_operation"):
		return "instance_operation", Request{InstanceID: parts[2]}, true
	case is("v2", "service_instances", "", "service_bindings", ""):
		return "binding", Request{InstanceID: parts[2], BindingID: parts[4]}, true
	case is("v2", "service_instances", "", "service_bindings", "", "last_operation"):
		return "binding_last_operation", Request{InstanceID: parts[2], BindingID: parts[4]}, true
	}
	return "", req, false
}

// understand turns a request's line and query into a Request, or refuses it.
func understand(r *http.Request) (Request, *Refusal) {
	resource, req, ok := route(r.URL.EscapedPath())
	if !ok {
		return req, &Refusal{Status: http.StatusNotFound, Description: "this is no path of the service broker API"}
	}
	req.Verb, ok = verbs[resource][r.Method]
	if !ok {
		return req, &Refusal{Status: http.StatusMethodNotAllowed, Description: "this path does not take the method " + r.Method, Allow: allowed(resource)}
	}
	if resource != "catalog" && !idPattern.MatchString(req.InstanceID) {
		return req, invalid("instance_id", "must match "+idPattern.String())
	}
	if strings.HasPrefix(resource, "binding") && !idPattern.MatchString(req.BindingID) {
		return req, invalid("binding_id", "must match "+idPattern.String())
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return req, invalid("query", "is not a well-formed query string")
	}
	req.ServiceID, req.PlanID = query.Get("service_id"), query.Get("plan_id")
	switch query.Get("accepts_incomplete") {
	case "", "true", "false":
	default:
		return req, invalid("accepts_incomplete", "must be true or false")
	}
	return req, nil
}

func allowed(resource string) string {
	methods := make([]string, 0, len(verbs[resource]))
	for m := range verbs[resource] {
		methods = append(methods, m)
	}
	sort.Strings(methods)
	return strings.Join(methods, ", ")
}
