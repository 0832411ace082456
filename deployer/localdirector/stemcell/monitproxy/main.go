// Command monitproxy stands between the bosh-agent and monit inside a VM.
//
// The agent speaks to monit 5.2.5, which real stemcells carry; Debian's monit
// 5.33 refuses POSTs without a security token, sent twice, as a cookie and as a
// form field. The proxy adds both. It also waits for a monit that is being
// restarted, where the agent would pause a second before trying again.
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
	"time"
)

const (
	listenAddress = "127.0.0.1:2822" // where the agent expects monit
	monitAddress  = "127.0.0.1:2823" // as monitrc says
	maxBody       = 64 << 10
	restartTime   = 10 * time.Second
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "monitproxy:", err)
		os.Exit(1)
	}
}

func run() error {
	token, err := newToken()
	if err != nil {
		return fmt.Errorf("make a security token: %w", err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: monitAddress})
			if r.Out.Method == http.MethodPost {
				addToken(r.Out, token)
			}
		},
		Transport: &http.Transport{DialContext: dialPatiently, DisableKeepAlives: true},
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
