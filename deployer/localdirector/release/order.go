package release

import "errors"

// CompileOrder returns the named packages and all they depend on, each after
// its dependencies; without names all packages of the release. The order is
// the same every time. Unknown packages and cycles are refused by name.
func (r *Release) CompileOrder(names ...string) ([]Package, error) { return nil, errors.ErrUnsupported }

// PackagesOf returns the names of the packages that the jobs list, without repeats, sorted.
// (Dependencies of packages are needed to compile them, not to run them.)
func (r *Release) PackagesOf(jobs ...string) ([]string, error) { return nil, errors.ErrUnsupported }

// CompiledKey names the result of compiling a package on a stemcell: it
// changes with the package's fingerprint, with that of any package below it
// and with the stemcell's operating system and version.
func (r *Release) CompiledKey(name, stemcellOS, stemcellVersion string) (string, error) {
	return "", errors.ErrUnsupported
}
