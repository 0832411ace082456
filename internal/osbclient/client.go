package osbclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-osb/holdfast/internal/secret"
)

// APIVersion is what the client sends as X-Broker-API-Version.
const APIVersion = "2.17"

const maxAnswer = 4 << 20 // bytes; a catalog with schemas fits many times

// Broker is one OSB broker.
type Broker struct {
	URL      string
	Username string
	Password secret.Secret
	HTTP     *http.Client // nil: a client with a 70 s time-out, OSB's own bound being 60 s
}

// Error is what a broker answered instead of a success.
type Error struct {
	Status      int
	Code        string `json:"error"` // "AsyncRequired", "ConcurrencyError", …, often absent
	Description string `json:"description"`
}

func (e *Error) Error() string {
	text := e.Description
	if text == "" {
		text = http.StatusText(e.Status)
	}
	if e.Code != "" {
		return fmt.Sprintf("%s (%d %s)", text, e.Status, e.Code)
	}
	return fmt.Sprintf("%s (%d)", text, e.Status)
}

// Service is a service offering of the catalog, as far as people are shown it.
type Service struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Tags        []string `json:"tags,omitempty"`
	Plans       []Plan   `json:"plans"`
}

// Plan is a plan of a Service.
type Plan struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Free        *bool  `json:"free,omitempty"`
}

// Catalog asks for the broker's services.
func (b *Broker) Catalog(ctx context.Context) ([]Service, error) {
	var answer struct {
		Services []Service `json:"services"`
	}
	_, err := b.do(ctx, http.MethodGet, "/v2/catalog", nil, nil, &answer)
	return answer.Services, err
}

// InstanceRequest is the body of a provision and of an update.
type InstanceRequest struct {
	ServiceID  string          `json:"service_id"`
	PlanID     string          `json:"plan_id,omitempty"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Context    map[string]any  `json:"context,omitempty"`
	OrgGUID    string          `json:"organization_guid,omitempty"`
	SpaceGUID  string          `json:"space_guid,omitempty"`
}

// Started is the answer to a request that may go on in the background.
type Started struct {
	Async     bool
	Operation string `json:"operation"`
}

// Provision creates an instance.
func (b *Broker) Provision(ctx context.Context, id string, in InstanceRequest) (Started, error) {
	return b.start(ctx, http.MethodPut, instancePath(id), asyncQuery(), in)
}

// Update changes an instance's plan or parameters.
func (b *Broker) Update(ctx context.Context, id string, in InstanceRequest) (Started, error) {
	return b.start(ctx, http.MethodPatch, instancePath(id), asyncQuery(), in)
}

// Deprovision deletes an instance. One that is gone (410) counts as deleted.
func (b *Broker) Deprovision(ctx context.Context, id, serviceID, planID string) (Started, error) {
	query := asyncQuery()
	query.Set("service_id", serviceID)
	query.Set("plan_id", planID)
	started, err := b.start(ctx, http.MethodDelete, instancePath(id), query, nil)
	return started, ignoreGone(err)
}

// LastOperation is the state of the newest operation of an instance.
type LastOperation struct {
	State       string `json:"state"` // "in progress", "succeeded", "failed"
	Description string `json:"description"`
	// RetryAfter is the pause the broker asks for, 0 when it asks for none.
	RetryAfter time.Duration `json:"-"`
}

// LastOperation polls an operation. An instance that is gone (410) is a
// delete that succeeded.
func (b *Broker) LastOperation(ctx context.Context, id, serviceID, planID, operation string) (LastOperation, error) {
	query := url.Values{"service_id": {serviceID}, "plan_id": {planID}}
	if operation != "" {
		query.Set("operation", operation)
	}
	var answer LastOperation
	res, err := b.do(ctx, http.MethodGet, instancePath(id)+"/last_operation", query, nil, &answer)
	if isGone(err) {
		return LastOperation{State: "succeeded"}, nil
	}
	if err != nil {
		return LastOperation{}, err
	}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		answer.RetryAfter = time.Duration(seconds) * time.Second
	}
	return answer, nil
}

// BindRequest is the body of a bind.
type BindRequest struct {
	ServiceID  string          `json:"service_id"`
	PlanID     string          `json:"plan_id"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
}

// Bind creates a binding and returns its credentials.
func (b *Broker) Bind(ctx context.Context, id, binding string, in BindRequest) (map[string]any, error) {
	var answer struct {
		Credentials map[string]any `json:"credentials"`
	}
	_, err := b.do(ctx, http.MethodPut, bindingPath(id, binding), nil, in, &answer)
	return answer.Credentials, err
}

// Unbind removes a binding. One that is gone (410) counts as removed.
func (b *Broker) Unbind(ctx context.Context, id, binding, serviceID, planID string) error {
	query := url.Values{"service_id": {serviceID}, "plan_id": {planID}}
	_, err := b.do(ctx, http.MethodDelete, bindingPath(id, binding), query, nil, nil)
	return ignoreGone(err)
}

func instancePath(id string) string { return "/v2/service_instances/" + url.PathEscape(id) }

func bindingPath(id, binding string) string {
	return instancePath(id) + "/service_bindings/" + url.PathEscape(binding)
}

func asyncQuery() url.Values { return url.Values{"accepts_incomplete": {"true"}} }

func (b *Broker) start(ctx context.Context, method, path string, query url.Values, in any) (Started, error) {
	var answer Started
	res, err := b.do(ctx, method, path, query, in, &answer)
	if err != nil {
		return Started{}, err
	}
	answer.Async = res.StatusCode == http.StatusAccepted
	return answer, nil
}

func (b *Broker) do(ctx context.Context, method, path string, query url.Values, in, out any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(encoded)
	}
	target := strings.TrimSuffix(b.URL, "/") + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.SetBasicAuth(b.Username, b.Password.Reveal())
	req.Header.Set("X-Broker-API-Version", APIVersion)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	client := b.HTTP
	if client == nil {
		client = &http.Client{Timeout: 70 * time.Second}
	}
	res, err := client.Do(req)
	if err != nil {
		var long *url.Error // it repeats the whole URL
		if errors.As(err, &long) {
			err = long.Err
		}
		return nil, fmt.Errorf("reach the broker %s: %w", b.URL, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the broker's answer: %w", err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		failure := &Error{Status: res.StatusCode}
		if json.Unmarshal(answer, failure) != nil {
			failure.Description = strings.TrimSpace(string(answer))
		}
		return nil, failure
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			return nil, fmt.Errorf("decode the broker's answer to %s %s: %w", method, path, err)
		}
	}
	return res, nil
}
