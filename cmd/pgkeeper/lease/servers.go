package lease

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/holdfast-osb/holdfast/cmd/pgkeeper/settings"
)

// Bounds of one attempt. A write's is well below a third of the hold.
const (
	dialWithin  = 400 * time.Millisecond
	readWithin  = 900 * time.Millisecond
	writeWithin = 1200 * time.Millisecond
)

// servers are Consul's, of which one is in use.
type servers struct {
	clients []*api.Client

	mu      sync.Mutex
	current int
}

func connect(s settings.Consul) (*servers, error) {
	if len(s.Servers) == 0 {
		return nil, errors.New("consul.servers: none")
	}
	dialer := &net.Dialer{Timeout: dialWithin, KeepAlive: 2 * time.Second}
	var secure *tls.Config
	if s.CA != "" {
		pem, err := os.ReadFile(s.CA)
		if err != nil {
			return nil, fmt.Errorf("read Consul's CA: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read Consul's CA: no certificate in %s", s.CA)
		}
		secure = &tls.Config{RootCAs: roots, ServerName: s.ServerName, MinVersion: tls.VersionTLS12}
	}
	list := &servers{}
	for _, address := range s.Servers {
		config := &api.Config{Address: address, Scheme: "http", Token: s.Token.Reveal()}
		if secure != nil {
			config.Scheme = "https"
		}
		config.HttpClient = &http.Client{Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: secure, TLSHandshakeTimeout: dialWithin,
			MaxIdleConnsPerHost: 3, IdleConnTimeout: time.Minute,
		}}
		client, err := api.NewClient(config)
		if err != nil {
			return nil, fmt.Errorf("make a client of Consul: %w", err)
		}
		list.clients = append(list.clients, client)
	}
	return list, nil
}

// use calls do with the server in use, and with the others when that cannot be
// reached, or fails and the call may be repeated.
func (s *servers) use(ctx context.Context, within time.Duration, repeatable bool, do func(context.Context, *api.Client) error) error {
	var faults []error
	for range s.clients {
		s.mu.Lock()
		at := s.current
		s.mu.Unlock()
		attempt, cancel := context.WithTimeout(ctx, within)
		err := do(attempt, s.clients[at])
		cancel()
		if err == nil {
			return nil
		}
		faults = append(faults, err)
		s.mu.Lock()
		if s.current == at {
			s.current = (at + 1) % len(s.clients)
		}
		s.mu.Unlock()
		if ctx.Err() != nil || !repeatable && !neverSent(err) {
			break
		}
	}
	return errors.Join(faults...)
}

// neverSent says whether no byte of the request can have reached the server.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
