// Package storetest is the conformance suite of store.Store. Every
// implementation runs it: it passes or it is no store.
package storetest
