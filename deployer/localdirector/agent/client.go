package agent

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
	"time"
)

// protocolVersion is the director's: from 3 on, stop waits until the jobs have stopped.
const protocolVersion = 3

// maxReply bounds an agent's JSON reply. An errand's output travels in it.
const maxReply = 64 << 20

// Options tune a Client. The zero value has the defaults named here.
type Options struct {
	DialTimeout    time.Duration // one connection attempt; 1 s
	RequestTimeout time.Duration // one request and its reply; 10 s
	ReplyTimeout   time.Duration // how long an agent that cannot be reached is tried; 45 s, as the director does
	PollInterval   time.Duration // between looks at a running task, at first; 20 ms, growing to 10 times that
	DirectorID     string        // sent as reply_to; "director"
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.DialTimeout, time.Second)
	set(&o.RequestTimeout, 10*time.Second)
	set(&o.ReplyTimeout, 45*time.Second)
	set(&o.PollInterval, 20*time.Millisecond)
	if o.DirectorID == "" {
		o.DirectorID = "director"
	}
	return o
}

// Client sends messages to one agent. It is safe for concurrent use.
type Client struct {
	endpoint Endpoint
	options  Options
	http     *http.Client
}

// New makes a client; it does not connect. It fails when the endpoint's CA is
// not a certificate.
func New(endpoint Endpoint, options Options) (*Client, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(endpoint.CA)) {
		return nil, fmt.Errorf("agent at %s: its CA holds no certificate", endpoint.Address)
	}
	options = options.withDefaults()
	transport := &http.Transport{
		Proxy:               nil, // VMs are on this machine: a proxy variable must not redirect us
		DialContext:         (&net.Dialer{Timeout: options.DialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: options.RequestTimeout,
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
	}
	return &Client{endpoint: endpoint, options: options, http: &http.Client{Transport: transport}}, nil
}

// Close drops the connections. The client may be used again.
func (c *Client) Close() { c.http.CloseIdleConnections() }

type request struct {
	Protocol  int    `json:"protocol"`
	Method    string `json:"method"`
	Arguments []any  `json:"arguments"`
	ReplyTo   string `json:"reply_to"`
}

type reply struct {
	Value     json.RawMessage `json:"value"`
	Exception *struct {
		Message string `json:"message"`
	} `json:"exception"`
}

// once sends a message one time and returns the reply's value.
func (c *Client) once(ctx context.Context, method string, arguments []any) (json.RawMessage, error) {
	if arguments == nil {
		arguments = []any{}
	}
	body, err := json.Marshal(request{protocolVersion, method, arguments, c.options.DirectorID})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", method, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.RequestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.endpoint.Address+"/agent", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("send %s: %w", method, err)
	}
	req.SetBasicAuth(c.endpoint.User, c.endpoint.Password)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("send %s: %w", method, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return nil, fmt.Errorf("read reply to %s: %w", method, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &Error{method, fmt.Sprintf("agent answered %s to %s", resp.Status, method)}
	}
	if len(raw) > maxReply {
		return nil, &Error{method, fmt.Sprintf("agent's reply to %s is longer than %d bytes", method, maxReply)}
	}
	var r reply
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, &Error{method, fmt.Sprintf("agent's reply to %s is not JSON: %v", method, err)}
	}
	if r.Exception != nil {
		return nil, &Error{method, r.Exception.Message}
	}
	return r.Value, nil
}

// send tries again while the agent cannot be reached, for at most
// ReplyTimeout. Once bytes may have arrived, only messages that change nothing
// (repeatable) are sent again.
func (c *Client) send(ctx context.Context, method string, repeatable bool, arguments ...any) (json.RawMessage, error) {
	start := time.Now()
	pause := c.options.PollInterval
	for {
		value, err := c.once(ctx, method, arguments)
		var refused *Error
		if err == nil || errors.As(err, &refused) {
			return value, err
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("send %s: %w", method, context.Cause(ctx))
		}
		if !repeatable && !failedToConnect(err) {
			return nil, &TimeoutError{method, time.Since(start).Round(time.Millisecond), err}
		}
		if time.Since(start)+pause > c.options.ReplyTimeout {
			return nil, &TimeoutError{method, c.options.ReplyTimeout, err}
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, fmt.Errorf("send %s: %w", method, err)
		}
		pause = min(pause*2, 500*time.Millisecond)
	}
}

// failedToConnect tells whether the request surely never left this machine.
func failedToConnect(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Ping sends one ping and does not try again.
func (c *Client) Ping(ctx context.Context) error {
	value, err := c.once(ctx, "ping", nil)
	if err != nil {
		return err
	}
	if string(value) != `"pong"` {
		return &Error{"ping", fmt.Sprintf("agent answered %s to ping", value)}
	}
	return nil
}

// WaitReady pings until the agent answers or ctx ends. A refused password or a
// certificate that does not fit does not get better and is returned at once.
func (c *Client) WaitReady(ctx context.Context) error {
	for {
		err := c.Ping(ctx)
		var refused *Error
		var unknown x509.UnknownAuthorityError
		var host x509.HostnameError
		if err == nil || errors.As(err, &refused) || errors.As(err, &unknown) || errors.As(err, &host) {
			return err
		}
		if sleepErr := sleep(ctx, c.options.PollInterval/2); sleepErr != nil {
			return fmt.Errorf("wait for the agent at %s: %w (last: %w)", c.endpoint.Address, sleepErr, err)
		}
	}
}
