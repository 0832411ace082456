// Package fault is the error that Holdfast's parts hand each other: what went
// wrong in terms of the caller (Kind), what the person at the end may read
// (User), and what only the operator's log may hold (Cause).
//
// An error without a fault in its chain is Internal: it fails closed, so its
// text never leaves the process.
package fault

import (
	"crypto/rand"
	"errors"
	"fmt"
)

// Kind says what a caller can do about an error.
type Kind string

// The kinds. Only broker/errors.go maps them to OSB statuses.
const (
	Invalid      Kind = "invalid"      // the input is wrong; Field names the culprit
	NotFound     Kind = "not_found"    // what the request names does not exist
	Conflict     Kind = "conflict"     // it exists already with other contents, or something runs on it
	Forbidden    Kind = "forbidden"    // allowed to nobody, or not in this state (a quota, a plan that may not change)
	Unauthorized Kind = "unauthorized" // credentials missing or wrong
	Unavailable  Kind = "unavailable"  // may work later: repeat the call
	Internal     Kind = "internal"     // a defect or a failure the caller can do nothing about
)

// Error is one fault.
type Error struct {
	Kind  Kind
	Field string // dotted path of the offending input, Invalid only
	User  string // one sentence for the platform's user, without secrets
	// Reference finds the operator's log line for this fault; set when the
	// fault was logged, by New for none.
	Reference string
	Cause     error // logged, never sent
}

// Error is the operator's view: it holds the cause.
func (e *Error) Error() string {
	text := e.User
	if e.Field != "" {
		text = e.Field + ": " + text
	}
	if e.Cause != nil {
		return fmt.Sprintf("%s: %v", text, e.Cause)
	}
	return text
}

// Unwrap gives errors.Is and errors.As the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes a fault with a message for the user.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, User: fmt.Sprintf(format, args...)}
}

// InvalidField makes an Invalid fault that names the offending input.
func InvalidField(field, format string, args ...any) *Error {
	return &Error{Kind: Invalid, Field: field, User: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault with a message for the user and a cause for the log.
func Wrap(kind Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: kind, User: fmt.Sprintf(format, args...), Cause: cause}
}

// From finds the fault in err's chain. An error without one becomes an
// Internal fault whose User text tells nothing but the reference.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, User: "internal error", Cause: err}
}

// Is tells whether err's chain holds a fault of this kind.
func Is(err error, kind Kind) bool {
	return err != nil && From(err).Kind == kind
}

// NewReference makes a short random reference (10 characters) that a user can
// read out and an operator can search for.
func NewReference() string { return rand.Text()[:10] }
