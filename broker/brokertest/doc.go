// Package brokertest holds stateful stand-ins for what is behind the broker:
// an invented data service, kettles, and a deployer with a director's manners.
// They keep the promises of their contracts, remember what was done to them,
// and fail where a test says so.
package brokertest
