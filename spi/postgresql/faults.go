package postgresql

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-osb/holdfast/internal/fault"
)

// asFault classifies what went wrong between the provider and a server. What
// may go away by itself is Unavailable.
func asFault(err error) error {
	if err == nil {
		return nil
	}
	var already *fault.Error
	if errors.As(err, &already) {
		return err
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) && !passing(refused.Code) {
		return fault.Wrap(fault.Internal, err, "the database server refused an administrative command")
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, errStandby) {
		return fault.Wrap(fault.Unavailable, err, "the database server does not take writes right now; try again in a minute")
	}
	return fault.Wrap(fault.Unavailable, err, "the database server does not answer right now; try again in a minute")
}

// passing tells whether an SQLSTATE speaks of a state that passes: classes 08
// (connection), 53 (resources), 55 (object not in state: a lock), 57 (operator
// intervention: starting, shutting down, cancelled), 40 (rollback), a primary
// that has become a standby, and XX000
// "tuple concurrently updated", which two administrative commands on one role
// meet.
func passing(code string) bool {
	for _, class := range []string{"08", "53", "55", "57", "40", codeReadOnly, "XX000"} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}

// hasCode tells whether the server answered with one of these SQLSTATEs.
func hasCode(err error, codes ...string) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return false
	}
	for _, code := range codes {
		if refused.Code == code {
			return true
		}
	}
	return false
}

const (
	codeDuplicateObject   = "42710"
	codeDuplicateDatabase = "42P04"
	codeUniqueViolation   = "23505" // two sessions making the same object
	codeUndefinedObject   = "42704"
	codeUndefinedDatabase = "3D000"
	codeReadOnly          = "25006" // a primary no longer
)
