// Package spi is the contract between the broker and a data service.
//
// A service provider is a stateless microservice that owns everything
// specific to one data service: catalog, validation of plans and parameters,
// the mapping from a plan to a deployment template, credentials, health. The
// broker calls it and stores, sealed and unread, what it must get back.
//
// Reads that need an instance's secrets are POSTs: a provider keeps nothing,
// so every call carries the instance it is about, and a GET has no body.
package spi
