// Package rest stands in for the one that tells how to reach a Kubernetes.
package rest

import (
	"context"
	"net"
)

// Config has the fields that Consul sets.
type Config struct {
	Host        string
	BearerToken string
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
	TLSClientConfig
	ContentConfig
}

// TLSClientConfig holds the CA of the server, as PEM.
type TLSClientConfig struct{ CAData []byte }

// ContentConfig names a MIME type.
type ContentConfig struct{ ContentType string }
