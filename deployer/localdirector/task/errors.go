package task

import (
	"errors"
	"fmt"
)

// The director's error codes that this package uses; package operation and
// the parsers have more.
const (
	// CodeUnknown is what an error without a code of its own is shown with.
	CodeUnknown = 100
	// CodeTaskCancelled ends the events of a cancelled task.
	CodeTaskCancelled = 10001
)

// Error is a failure with the director's code for it.
type Error struct {
	Code    int
	Message string
}

func (e *Error) Error() string { return e.Message }

// Errorf makes an Error.
func Errorf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// coded is any error that knows the director's code for itself, so that the
// parsers need not import this package.
type coded interface {
	error
	ErrorCode() int
}

// ErrorCode is the code under which the director's API shows the error.
func (e *Error) ErrorCode() int { return e.Code }

// CodeOf finds the director's code of an error, CodeUnknown when it has
// none.
func CodeOf(err error) int {
	var c coded
	if errors.As(err, &c) {
		return c.ErrorCode()
	}
	return CodeUnknown
}

// NotCancellableError says that a task has already ended.
type NotCancellableError struct {
	ID    int64
	State string
}

func (e *NotCancellableError) Error() string {
	return fmt.Sprintf("Cannot cancel task %d: invalid state (%s)", e.ID, e.State)
}

// ErrClosed is returned by Enqueue once the queue takes no more tasks.
var ErrClosed = errors.New("the director is shutting down")
