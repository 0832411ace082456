// Package broker answers the Open Service Broker API for the data services
// behind one or more SPIs. It decides what may happen to an instance, writes
// that down in its store, and leaves asynchronous work to package operation.
//
// The verbs (a file each) run below an unmodified brokerapi; package gate wraps
// it and closes what it leaves open. The broker knows no data service: what is
// specific to one is said by its SPI, kept sealed and handed back unread.
package broker
