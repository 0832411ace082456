package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	listenAddress = "127.0.0.1:2822" // where the agent expects monit
	monitAddress  = "127.0.0.1:2823" // as monitrc says
	monitPidFile  = "/var/vcap/monit/monit.pid"
	maxBody       = 64 << 10
	maxStatus     = 16 << 20
	restartTime   = 10 * time.Second
)

// serveProxy stands between the agent and monit.
func serveProxy() error {
	token, err := newToken()
	if err != nil {
		return fmt.Errorf("make a security token: %w", err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: monitAddress})
			r.Out.Header.Del("Accept-Encoding") // we read statuses
			if r.Out.Method == http.MethodPost {
				addToken(r.Out, token)
			}
		},
		ModifyResponse: refineIncarnation,
		Transport:      &http.Transport{DialContext: dialPatiently, DisableKeepAlives: true, DisableCompression: true},
	}
	server := &http.Server{Addr: listenAddress, Handler: http.MaxBytesHandler(proxy, maxBody), ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

// newToken makes what monit takes for one of its tokens: 32 hexadecimal digits.
func newToken() (string, error) {
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	return hex.EncodeToString(raw), nil
}

// addToken sends the token as monit's own pages do.
func addToken(r *http.Request, token string) {
	form := []byte("securitytoken=" + token)
	if body, err := io.ReadAll(r.Body); err == nil && len(body) > 0 {
		form = append(append(form, '&'), body...)
	}
	r.Body = io.NopCloser(bytes.NewReader(form))
	r.ContentLength = int64(len(form))
	r.Header.Set("Cookie", "securitytoken="+token)
}

var incarnation = regexp.MustCompile(`incarnation="[0-9]+"`)

// refineIncarnation replaces the second in which monit started by the
// millisecond in which it wrote its pid.
func refineIncarnation(r *http.Response) error {
	if r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Request.URL.Path, "/_status") {
		return nil
	}
	written, err := os.Stat(monitPidFile)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxStatus))
	if err != nil {
		return err
	}
	_ = r.Body.Close()
	body = incarnation.ReplaceAll(body, fmt.Appendf(nil, `incarnation="%d"`, written.ModTime().UnixMilli()))
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}

// dialPatiently connects to monit, waiting while it restarts.
func dialPatiently(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, restartTime)
	defer cancel()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(5 * time.Millisecond):
		}
	}
}
