package release

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// CompileOrder returns the named packages and all they depend on, each after
// its dependencies; without names all packages of the release. The order is
// the same every time. Unknown packages and cycles are refused by name.
func (r *Release) CompileOrder(names ...string) ([]Package, error) {
	if len(names) == 0 {
		for _, p := range r.Packages {
			names = append(names, p.Name)
		}
	}
	o := &ordering{release: r, done: map[string]bool{}}
	for _, name := range slices.Sorted(slices.Values(names)) {
		if err := o.visit(name, nil); err != nil {
			return nil, err
		}
	}
	return o.order, nil
}

type ordering struct {
	release *Release
	done    map[string]bool
	order   []Package
}

func (o *ordering) visit(name string, path []string) error {
	if o.done[name] {
		return nil
	}
	if i := slices.Index(path, name); i >= 0 {
		return faultf(CodeReleaseInvalidPackage, "Packages depend on each other in a cycle: %s", strings.Join(append(path[i:], name), " => "))
	}
	p, ok := o.release.Package(name)
	if !ok && len(path) > 0 {
		return faultf(CodeReleaseInvalidPackage, "Package '%s' depends on package '%s', which release '%s' does not have", path[len(path)-1], name, o.release.Name)
	}
	if !ok {
		return faultf(CodeReleaseInvalidPackage, "Release '%s' has no package '%s'", o.release.Name, name)
	}
	for _, dep := range slices.Sorted(slices.Values(p.Dependencies)) {
		if err := o.visit(dep, append(path, name)); err != nil {
			return err
		}
	}
	o.done[name] = true
	o.order = append(o.order, p)
	return nil
}

// PackagesOf returns the names of the packages that the jobs list, sorted. What those
// packages depend on is needed to compile them, not to run them.
func (r *Release) PackagesOf(jobs ...string) ([]string, error) {
	var names []string
	for _, name := range jobs {
		j, ok := r.Job(name)
		if !ok {
			return nil, fmt.Errorf("release '%s/%s' has no job '%s'", r.Name, r.Version, name)
		}
		names = append(names, j.Packages...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// CompiledKey names the result of compiling a package on a stemcell: it
// changes with the package's fingerprint, with that of any package below it
// and with the stemcell's operating system and version.
func (r *Release) CompiledKey(name, stemcellOS, stemcellVersion string) (string, error) {
	order, err := r.CompileOrder(name)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q", stemcellOS, stemcellVersion)
	for _, p := range order {
		fmt.Fprintf(sum, " %q %q %q", p.Name, p.Fingerprint, slices.Sorted(slices.Values(p.Dependencies)))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
