package jsonhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-osb/holdfast/internal/fault"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// Client calls one internal API. It keeps its connections and never retries:
// whether a call may be repeated is its caller's knowledge.
type Client struct {
	base  *url.URL
	token secret.Secret
	http  *http.Client
}

// NewClient makes a client for the API at base ("http://host:port"). timeout
// bounds each call as a whole.
func NewClient(base string, token secret.Secret, timeout time.Duration) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("%q is not an http(s) URL", base)
	}
	if token.Empty() {
		return nil, fmt.Errorf("no token for %s", base)
	}
	return &Client{base: u, token: token, http: &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
			MaxIdleConnsPerHost:   16,
			IdleConnTimeout:       time.Minute,
			TLSHandshakeTimeout:   5 * time.Second,
			ResponseHeaderTimeout: timeout,
		},
	}}, nil
}

// Do sends in (nil for no body) and decodes the answer into out (nil to drop
// it). path elements are escaped. It returns the status of a success. Faults
// keep the kind the server gave; a server that cannot be reached or does not
// speak this API is Unavailable.
func (c *Client) Do(ctx context.Context, method string, path []string, in, out any) (int, error) {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return 0, fmt.Errorf("encode %s request: %w", method, err)
		}
		body = bytes.NewReader(encoded)
	}
	escaped := make([]string, len(path))
	for i, p := range path {
		escaped[i] = url.PathEscape(p)
	}
	target := strings.TrimSuffix(c.base.String(), "/") + "/" + strings.Join(escaped, "/")
	req, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return 0, fmt.Errorf("make %s request: %w", method, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return 0, fault.Wrap(fault.Unavailable, err, "a part of the service is not reachable")
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, MaxBody+1))
	if err != nil {
		return 0, fault.Wrap(fault.Unavailable, err, "a part of the service broke off its answer")
	}
	if len(answer) > MaxBody {
		return 0, fmt.Errorf("%s %s: the answer is larger than %d bytes", method, target, MaxBody)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return 0, readFault(method, target, res.StatusCode, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			return 0, fmt.Errorf("%s %s: decode answer: %w", method, target, err)
		}
	}
	return res.StatusCode, nil
}

func readFault(method, target string, status int, body []byte) error {
	var f wireFault
	if err := json.Unmarshal(body, &f); err != nil || f.Kind == "" {
		return fault.Wrap(fault.Unavailable, fmt.Errorf("%s %s answered %d without a fault", method, target, status), "a part of the service gave an unexpected answer")
	}
	return &fault.Error{Kind: f.Kind, Field: f.Field, User: f.Message, Reference: f.Reference,
		Cause: fmt.Errorf("%s %s answered %d", method, target, status)}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }
