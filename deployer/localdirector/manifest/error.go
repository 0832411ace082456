package manifest

import (
	"fmt"
	"net/http"
)

// Error is a fault that the BOSH director reports to its caller, in an HTTP
// answer or as the last event of a task.
type Error struct {
	Code    int    // the director's error code, such as 440001
	Message string // shown to the user as it is
}

func (e *Error) Error() string { return e.Message }

// ErrorCode is the director's code for this fault.
func (e *Error) ErrorCode() int { return e.Code }

// HTTPStatus is the status the director answers with when the fault is found
// while the caller still waits.
func (e *Error) HTTPStatus() int {
	switch e.Code {
	case CodeStemcellNotFound, CodeReleaseNotFound, CodeReleaseVersionNotFound, CodeJobNotFound:
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}

func faultf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
