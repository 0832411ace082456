// Package jsonhttp is the transport under Holdfast's internal APIs (SPI and
// deployer): JSON over HTTP with a bearer token, bounded bodies, time-outs,
// and faults that keep their kind over the wire. It knows no API.
package jsonhttp
