package bosh

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/holdfast-osb/holdfast/internal/fault"
)

// Codes of the director's errors.
const (
	codeNoDeployment = 70000
	codeNoTask       = 10000
)

// failure is why a request to the director did not succeed.
type failure struct {
	sent        bool // it may have reached the director
	status      int  // 0: there was no answer
	code        int  // the director's own, 0 where it gave none
	description string
	cause       error
}

func (f *failure) Error() string {
	switch {
	case f.status == 0:
		return f.cause.Error()
	case f.code != 0:
		return fmt.Sprintf("director answered %d: %s (code %d)", f.status, f.description, f.code)
	}
	return fmt.Sprintf("director answered %d: %s", f.status, f.description)
}

func (f *failure) Unwrap() error { return f.cause }

// absent tells whether the director itself said that there is no such thing.
// A bare 404 is not that: a proxy in between or a wrong URL gives it as well.
func absent(err error, code int) bool {
	var f *failure
	return errors.As(err, &f) && f.status == http.StatusNotFound && f.code == code
}

// refused tells whether the director understood a submission and will not have
// it, now or ever.
func refused(err error) bool {
	var f *failure
	if !errors.As(err, &f) || f.status < 400 || f.status > 499 {
		return false
	}
	switch f.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false // our access or the path to the director: may work later
	}
	return true
}

// inDoubt tells whether a submission that failed may have reached the director
// all the same.
func inDoubt(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.sent && (f.status == 0 || f.status >= 500)
}

// unavailable is the fault for everything that may work later. The cause holds
// what was attempted.
func unavailable(err error) error {
	return fault.Wrap(fault.Unavailable, err, "deployments cannot be managed at the moment")
}
