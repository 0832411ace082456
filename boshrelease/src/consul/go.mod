module github.com/holdfast-osb/holdfast/boshrelease/src/consul

go 1.26.0

require (
	github.com/hashicorp/consul v1.20.1
	github.com/hashicorp/consul/envoyextensions v0.7.3
	github.com/hashicorp/consul/proto-public v0.6.4
	github.com/hashicorp/consul/troubleshoot v0.7.1
)

// Cloud auto-join, which asks a dozen clouds by libraries of their own.
replace github.com/hashicorp/go-discover => ./discover

// The auth method of type kubernetes, with a library for all of its API.
replace k8s.io/client-go => ./client-go
