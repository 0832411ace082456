package deployer_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

const token = "handler-token"

// server serves a stub through the handler.
func server(t *testing.T, s deployer.Service) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(deployer.NewHandler(s, secret.New(token), slog.New(slog.DiscardHandler)))
	t.Cleanup(srv.Close)
	return srv
}

type answer struct {
	status int
	body   []byte
}

func send(t *testing.T, srv *httptest.Server, method, path, bearer, body string) answer {
	t.Helper()
	req, err := http.NewRequest(method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s %s: content type %q", method, path, got)
	}
	return answer{res.StatusCode, content}
}

func TestHandlerRefuses(t *testing.T) {
	srv := server(t, stub{})
	const put, path = http.MethodPut, "/v1/deployments/a"
	for name, c := range map[string]struct {
		method, path, token, body string
		want                      int
	}{
		"no token":      {http.MethodGet, "/v1/deployments", "", "", 401},
		"wrong token":   {http.MethodGet, "/v1/deployments", "guess", "", 401},
		"unknown path":  {http.MethodGet, "/v1/nothing", token, "", 404},
		"other method":  {http.MethodPatch, path, token, "{}", 404},
		"no body":       {put, path, token, "", 400},
		"not JSON":      {put, path, token, "{", 400},
		"two values":    {put, path, token, "{}{}", 400},
		"unknown field": {put, path, token, `{"plan":"x"}`, 400},
		"wrong type":    {put, path, token, `{"attributes":[]}`, 400},
		"2 MiB":         {put, path, token, `{"template":"` + strings.Repeat("x", 2<<20) + `"}`, 400},
		"panic":         {http.MethodGet, "/v1/deployments/panic", token, "", 500},
		"cause":         {http.MethodGet, "/v1/deployments/cause", token, "", 503},
	} {
		t.Run(name, func(t *testing.T) {
			got := send(t, srv, c.method, c.path, c.token, c.body)
			var f struct{ Kind, Message string }
			if err := json.Unmarshal(got.body, &f); err != nil || got.status != c.want || f.Kind == "" || f.Message == "" {
				t.Errorf("got %d %s (%v), want a fault with %d", got.status, got.body, err, c.want)
			}
			if bytes.Contains(got.body, []byte("inner")) {
				t.Errorf("the answer shows a cause: %s", got.body)
			}
		})
	}
}

func TestClientKeepsFaults(t *testing.T) {
	client, err := deployer.NewClient(server(t, stub{}).URL, secret.New(token))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = client.Deployment(t.Context(), "cause")
	if f := fault.From(err); f.Kind != fault.Unavailable || f.Reference == "" {
		t.Errorf("got %+v", f)
	}
	_, err = client.Deploy(t.Context(), deployer.DeployRequest{Name: "a", Template: "bad"})
	if f := fault.From(err); f.Kind != fault.Invalid || f.Field != "attributes.x" {
		t.Errorf("got %+v", f)
	}
	client.Close()
	gone, err := deployer.NewClient("http://127.0.0.1:1", secret.New(token))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Deployments(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a server: got %v", err)
	}
}

// TestOpenAPI holds every answer against openapi.yaml, and its paths against
// what the handler serves.
func TestOpenAPI(t *testing.T) {
	content, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := yaml.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	srv := server(t, stub{})
	request := `{"operation_id":"deploy-0001","template":"good","attributes":{"a":1},"secret_attributes":{"b":"c"},"tags":{"d":"e"}}`
	bodies := map[string]string{"PUT /v1/deployments/{name}": request, "DELETE /v1/deployments/{name}": `{"operation_id":"delete-0001"}`,
		"POST /v1/templates/{name}/render": `{"name":"a","attributes":{}}`}
	var described []string
	for path, methods := range document["paths"].(map[string]any) {
		for method, operation := range methods.(map[string]any) {
			if method == "parameters" {
				continue
			}
			key := strings.ToUpper(method) + " " + path
			described = append(described, key)
			concrete := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "good-0001")
			got := send(t, srv, strings.ToUpper(method), concrete, token, bodies[key])
			status := strconv.Itoa(got.status)
			responses := operation.(map[string]any)["responses"].(map[string]any)
			if _, known := responses[status]; !known {
				t.Errorf("%s answers %d, which is not described", key, got.status)
				continue
			}
			schema, err := compiler.Compile("openapi.json#/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + method +
				"/responses/" + status + "/content/application~1json/schema")
			if err != nil {
				t.Errorf("%s: %v", key, err)
				continue
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(got.body))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); err != nil {
				t.Errorf("%s: %v\n%s", key, err, got.body)
			}
		}
	}
	slices.Sort(described)
	want := []string{"DELETE /v1/deployments/{name}", "GET /v1/deployments", "GET /v1/deployments/{name}", "GET /v1/deployments/{name}/operations/{id}",
		"GET /v1/templates", "GET /v1/templates/{name}", "POST /v1/templates/{name}/render", "PUT /v1/deployments/{name}"}
	if !slices.Equal(described, want) {
		t.Errorf("described: %v\nwant: %v", described, want)
	}
}
