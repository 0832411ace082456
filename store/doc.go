// Package store is the contract of the broker's memory: service instances,
// their operations and their bindings.
//
// What a data service must get back (attributes, secrets, parameters) is kept
// in sealed columns only: encrypted with AES-256-GCM under a named key and
// tied to its row. An implementation seals with the Keyring of this package;
// nothing but the fields that are named Private ever goes into a sealed column,
// and nothing that is Private goes into another.
//
// It makes no decisions about services: what an operation does next is the
// broker's. It does enforce what no race may break: one unfinished operation
// per instance, one row per deployment name, and compare-and-swap on every
// change.
package store
