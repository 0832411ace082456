// Package osbclient speaks to any Open Service Broker (API 2.17) and remembers
// the names that people give to instances and bindings, since a broker knows
// ids only and lists nothing.
package osbclient
