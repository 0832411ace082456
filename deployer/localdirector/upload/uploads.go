package upload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// The director's codes for what can be wrong with artifacts that were
// uploaded earlier.
const (
	codePackageMismatch    = 30001
	codeReleaseNotFound    = 30005
	codeVersionNotFound    = 30006
	codeReleaseInUse       = 30007
	codeVersionInUse       = 30008
	codeJobMismatch        = 30013
	codeCommitHashMismatch = 30014
	codeStemcellNotFound   = 50003
	codeStemcellInUse      = 50004
)

// collectAge protects blobs that an upload has stored but not yet recorded.
const collectAge = time.Hour

// images is the host: it keeps the unpacked images that VMs start from.
type images interface {
	ImportStemcell(ctx context.Context, imagePath string) (cid string, err error)
	DeleteStemcell(ctx context.Context, cid string) error
}

// Uploads are the artifacts' tasks.
type Uploads struct {
	db    *db.DB
	store *release.Store
	host  images
}

// New returns the tasks on these stores.
func New(d *db.DB, store *release.Store, host images) *Uploads {
	return &Uploads{db: d, store: store, host: host}
}

// stage runs f as a stage with one step of the same name.
func stage(run *task.Run, name string, f func() error) error {
	return run.Stage(name, 1).Do(name, func(*task.Step) error { return f() })
}

// users lists the deployments that use one of the artifacts.
func (u *Uploads) users(ctx context.Context, used func(db.Deployment) []db.NameVersion, name, version string) (string, error) {
	deployments, err := u.db.Deployments(ctx)
	if err != nil {
		return "", err
	}
	var names []string
	for _, d := range deployments {
		if slices.ContainsFunc(used(d), func(nv db.NameVersion) bool {
			return nv.Name == name && (version == "" || nv.Version == version)
		}) {
			names = append(names, d.Name)
		}
	}
	return strings.Join(names, ", "), nil
}

// collect removes the blobs that no release refers to any more.
func (u *Uploads) collect(ctx context.Context) error {
	releases, err := u.db.Releases(ctx)
	if err != nil {
		return err
	}
	inUse := map[string]bool{}
	for _, r := range releases {
		for _, j := range r.Jobs {
			inUse[j.Blob] = true
		}
		for _, p := range r.Packages {
			inUse[p.Blob] = true
		}
	}
	if _, err := u.store.Collect(ctx, inUse, collectAge); err != nil {
		return fmt.Errorf("remove unused blobs: %w", err)
	}
	return nil
}

// notFound replaces the absence of a row by the director's fault.
func notFound(err error, fault *task.Error) error {
	if errors.Is(err, db.ErrNotFound) {
		return fault
	}
	return err
}
