// Package cert stands in for the one that reads certificates.
package cert

import (
	"crypto/x509"
	"errors"
)

// ParseCertsPEM refuses: what it would be read for is not built in.
func ParseCertsPEM([]byte) ([]*x509.Certificate, error) {
	return nil, errors.New("this Consul is built without the auth method of type kubernetes")
}
