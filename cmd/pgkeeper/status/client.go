package status

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/decide"
	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
	"github.com/holdfast-osb/holdfast/internal/secret"
)

// Client asks the keepers of a deployment. Every call is bounded by its ctx.
type Client struct {
	http  *http.Client
	port  int
	token string
}

// NewClient returns a client that trusts the deployment's CA.
func NewClient(s *settings.Settings) (*Client, error) {
	pem, err := os.ReadFile(s.Status.CA)
	if err != nil {
		return nil, fmt.Errorf("read the status endpoint's CA: %w", err)
	}
	return New(pem, s.Status.ServerName, s.Status.Port, s.Status.Token)
}

// New returns a client of the keepers that serve on a port with a certificate of
// this CA (PEM), under this name if one is given.
func New(ca []byte, serverName string, port int, token secret.Secret) (*Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the status endpoint's CA is no certificate")
	}
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 500 * time.Millisecond, KeepAlive: 2 * time.Second}).DialContext,
		TLSClientConfig:     trust(roots, serverName),
		TLSHandshakeTimeout: time.Second, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
	}
	return &Client{http: &http.Client{Transport: transport}, port: port, token: token.Reveal()}, nil
}

// trust verifies the chain, and the name when one is given: nodes are reached by
// addresses, which their certificate need not hold, and the CA is the deployment's own.
func trust(roots *x509.CertPool, name string) *tls.Config {
	if name != "" {
		return &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // replaced by VerifyConnection
		VerifyConnection: func(state tls.ConnectionState) error {
			options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
			for _, one := range state.PeerCertificates[1:] {
				options.Intermediates.AddCert(one)
			}
			_, err := state.PeerCertificates[0].Verify(options)
			return err
		},
	}
}

// Status asks the keeper at an address for its report.
func (c *Client) Status(ctx context.Context, address string, port int) (Report, error) {
	var report Report
	err := c.call(ctx, http.MethodGet, address, port, "status", nil, &report)
	return report, err
}

// Ask posts a request. From is who asks.
func (c *Client) Ask(ctx context.Context, address string, port int, r decide.Request) (Answer, error) {
	var answer Answer
	body := request{From: r.From, Holder: r.Holder, Epoch: r.Epoch, Target: r.Target, Force: r.Force}
	err := c.call(ctx, http.MethodPost, address, port, doors[r.Ask], body, &answer)
	return answer, err
}

func (c *Client) call(ctx context.Context, method, address string, port int, door string, in, out any) error {
	if port == 0 {
		port = c.port
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	url := "https://" + net.JoinHostPort(address, strconv.Itoa(port)) + "/v1/" + door
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return fmt.Errorf("ask the keeper: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("ask the keeper: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("hear the keeper's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		var answer Answer
		if json.Unmarshal(text, &answer) != nil || answer.Why == "" {
			answer.Why = response.Status
		}
		return errors.New("the keeper refuses: " + answer.Why)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read the keeper's answer: %w", err)
	}
	return nil
}
