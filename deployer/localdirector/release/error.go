package release

// The director's error codes for what can be wrong with an upload.
const (
	CodeReleaseInvalidArchive    = 30002
	CodeReleaseManifestNotFound  = 30003
	CodeReleaseVersionInvalid    = 30010
	CodeReleaseInvalidPackage    = 30012
	CodeReleaseDigestMismatch    = 30015
	CodeStemcellInvalidArchive   = 50000
	CodeStemcellImageNotFound    = 50001
	CodeStemcellDigestMismatch   = 50007
	CodePackageInvalidArchive    = 60000
	CodeJobInvalidArchive        = 80000
	CodeJobMissingManifest       = 80001
	CodeJobMissingTemplateFile   = 80002
	CodeJobMissingPackage        = 80003
	CodeJobMissingMonit          = 80004
	CodeJobInvalidPropertySpec   = 80008
	CodeJobInvalidLinkSpec       = 80013
	CodeJobDuplicateLinkName     = 80014
	CodeCompiledPackagesRejected = 30012
)

// Error is a fault of what was uploaded, with the code a director gives it.
type Error struct {
	Code    int
	Message string
}

func (e *Error) Error() string { return e.Message }
