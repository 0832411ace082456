// Package v1 has the types that Consul names.
package v1

import (
	"context"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ServiceAccountsGetter has what Consul calls.
type ServiceAccountsGetter interface {
	ServiceAccounts(namespace string) ServiceAccountInterface
}

// ServiceAccountInterface has what Consul calls.
type ServiceAccountInterface interface {
	Get(ctx context.Context, name string, opts meta.GetOptions) (*core.ServiceAccount, error)
}
