// Package v1 has the types that Consul names.
package v1

import (
	"context"

	authentication "k8s.io/api/authentication/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TokenReviewsGetter has what Consul calls.
type TokenReviewsGetter interface{ TokenReviews() TokenReviewInterface }

// TokenReviewInterface has what Consul calls.
type TokenReviewInterface interface {
	Create(ctx context.Context, review *authentication.TokenReview, opts meta.CreateOptions) (*authentication.TokenReview, error)
}
