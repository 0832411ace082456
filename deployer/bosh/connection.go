package bosh

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloudfoundry/bosh-cli/v7/director"
	"github.com/cloudfoundry/bosh-utils/httpclient"
	boshlog "github.com/cloudfoundry/bosh-utils/logger"
)

// maxAnswer bounds what is read of one answer, bytes.
const maxAnswer = 32 << 20

// connection keeps the connections to one director for all calls. Unlike the
// library's own client it repeats nothing and gives up in time.
type connection struct {
	endpoint string
	http     *http.Client
	auth     director.AuthRequestAdjustment
	log      boshlog.Logger
}

func newConnection(cfg Config) (*connection, error) {
	roots, err := cfg.roots()
	if err != nil {
		return nil, fmt.Errorf("ca_cert: %w", err)
	}
	client := &http.Client{
		Timeout: cfg.RequestTimeout,
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 5 * time.Second,
			MaxConnsPerHost:     cfg.MaxConnections,
			MaxIdleConnsPerHost: cfg.MaxConnections,
			IdleConnTimeout:     time.Minute,
		},
		// The library follows redirects itself, by their path: our
		// credentials go to no other host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	endpoint := "https://" + u.Host
	auth := director.NewAuthRequestAdjustment(nil, cfg.Username, cfg.Password.Reveal())
	if cfg.Client != "" {
		tokens := &tokenSource{director: endpoint, http: client, client: cfg.Client, secret: cfg.ClientSecret, now: time.Now}
		auth = director.NewAuthRequestAdjustment(tokens.authorization, "", "")
	}
	return &connection{endpoint: endpoint, http: client, auth: auth, log: boshlog.NewLogger(boshlog.LevelNone)}, nil
}

// exchange is the transport of one call: it gives the library's requests our
// context and keeps what the library's errors lose.
type exchange struct {
	ctx     context.Context
	conn    *connection
	failure *failure // of the last request
	task    int      // the task that a submission was redirected to
}

func (c *connection) exchange(ctx context.Context) *exchange {
	return &exchange{ctx: ctx, conn: c}
}

// request is the library's lower half: any path, any header.
func (e *exchange) request() director.ClientRequest {
	return director.NewClientRequest(e.conn.endpoint, e.library(), nil, e.conn.log)
}

// client is the library's upper half: typed answers.
func (e *exchange) client() director.Client {
	return director.NewClient(e.conn.endpoint, e.library(), nil, nil, e.conn.log)
}

func (e *exchange) library() *httpclient.HTTPClient {
	return httpclient.NewHTTPClientOpts(e, e.conn.log, httpclient.Opts{NoRedactUrlQuery: true})
}

// Do sends a request once, or twice where a token had expired.
func (e *exchange) Do(req *http.Request) (*http.Response, error) {
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }}
	req = req.WithContext(httptrace.WithClientTrace(e.ctx, trace))
	e.failure = nil
	res, err := director.NewAdjustableClient(e.conn.http, e.conn.auth).Do(req)
	if err != nil {
		e.failure = &failure{sent: sent.Load(), cause: err}
		return nil, err
	}
	res.Body = &boundedBody{ReadCloser: res.Body, left: maxAnswer, exchange: e}
	switch {
	case res.StatusCode >= 400:
		return res, e.readFailure(res)
	case res.StatusCode == http.StatusFound:
		// Kept even if the library fails to follow.
		e.task = taskOf(res.Header.Get("Location"))
	}
	return res, nil
}

// readFailure keeps the director's code and description, and leaves the body
// to be read again.
func (e *exchange) readFailure(res *http.Response) error {
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err // boundedBody noted it
	}
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	f := &failure{sent: true, status: res.StatusCode}
	var answer struct {
		Code        int    `json:"code"`
		Description string `json:"description"`
	}
	if json.Unmarshal(body, &answer) == nil {
		f.code, f.description = answer.Code, answer.Description
	} else {
		f.description = shorten(string(body))
	}
	e.failure = f
	return nil
}

// result turns the library's error into the failure that was kept of it.
func (e *exchange) result(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	attempt := fmt.Sprintf(format, args...)
	if e.failure != nil {
		return fmt.Errorf("%s: %w", attempt, e.failure)
	}
	return fmt.Errorf("%s: %w", attempt, err)
}

func taskOf(location string) int {
	u, err := url.Parse(location)
	if err != nil || path.Dir(u.Path) != "/tasks" {
		return 0
	}
	id, err := strconv.Atoi(path.Base(u.Path))
	if err != nil {
		return 0
	}
	return id
}

func shorten(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > 200 {
		return text[:200] + "…"
	}
	return text
}

// boundedBody notes a broken or overlong answer as the exchange's failure.
type boundedBody struct {
	io.ReadCloser
	left     int64
	exchange *exchange
}

var errTooLong = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		n, err = 0, errTooLong
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.exchange.failure = &failure{sent: true, cause: err}
	}
	return n, err
}
