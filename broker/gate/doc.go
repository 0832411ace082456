// Package gate is the outer handler around brokerapi. It closes what the
// library leaves open: malformed and oversized bodies, ids that would be
// decoded in two ways, errors that are not JSON, missing request identities
// and challenges, panics. What it lets through is well-formed; whether it
// makes sense is the verbs' business.
package gate
