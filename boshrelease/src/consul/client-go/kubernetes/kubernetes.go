// Package kubernetes stands in for the client of Kubernetes' API, which takes as
// long to compile as Consul's own code, for Consul's auth method of type kubernetes.
// Ours are tokens, so Consul is built without that type: util/cert refuses it before
// anything here is called.
package kubernetes

import (
	"errors"

	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// Clientset would reach a Kubernetes.
type Clientset struct{}

// NewForConfig refuses.
func NewForConfig(*rest.Config) (*Clientset, error) {
	return nil, errors.New("this Consul is built without the auth method of type kubernetes")
}

// CoreV1 is never called.
func (*Clientset) CoreV1() core.ServiceAccountsGetter { return nil }

// AuthenticationV1 is never called.
func (*Clientset) AuthenticationV1() authentication.TokenReviewsGetter { return nil }
