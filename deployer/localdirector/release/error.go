package release

import (
	"errors"
	"fmt"
)

// The director's error codes for what can be wrong with an upload.
const (
	CodeReleaseInvalidArchive  = 30002
	CodeReleaseManifestMissing = 30003
	CodeReleaseVersionInvalid  = 30010
	CodeReleaseInvalidPackage  = 30012
	CodeReleaseDigestMismatch  = 30015
	CodeStemcellInvalidArchive = 50000
	CodeStemcellImageMissing   = 50001
	CodeStemcellDigestMismatch = 50007
	CodePackageInvalidArchive  = 60000
	CodeJobInvalidArchive      = 80000
	CodeJobManifestMissing     = 80001
	CodeJobTemplateMissing     = 80002
	CodeJobPackageMissing      = 80003
	CodeJobMonitMissing        = 80004
	CodeJobInvalidPropertySpec = 80008
	CodeJobInvalidLinkSpec     = 80013
	CodeJobDuplicateLinkName   = 80014
)

// Error is a fault of what was uploaded, with the code a director gives it.
type Error struct {
	Code    int
	Message string
}

func (e *Error) Error() string { return e.Message }

// ErrorCode is the director's code for this fault.
func (e *Error) ErrorCode() int { return e.Code }

func faultf(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// asFault gives an archive's defect the code of what was being read. Other
// failures (a full disk, a cancelled task) stay what they are.
func asFault(err error, code int, format string, args ...any) error {
	var defect *defectError
	if errors.As(err, &defect) {
		return faultf(code, format+": %s", append(args, defect.reason)...)
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// defectError is what is wrong with an archive, before it is known what the archive is.
type defectError struct{ reason string }

func (e *defectError) Error() string { return e.reason }

func defectf(format string, args ...any) error {
	return &defectError{reason: fmt.Sprintf(format, args...)}
}
