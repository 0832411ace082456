package upload

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// CreateRelease takes in the release tarball at path and removes the file.
// With fix, parts that the director has already are stored again.
func (u *Uploads) CreateRelease(ctx context.Context, run *task.Run, path string, fix bool) (result string, err error) {
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	var archive *release.Archive
	if err := stage(run, "Extracting release", func() (err error) {
		archive, err = u.store.ExtractRelease(ctx, path)
		return err
	}); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	var rel *release.Release
	if err := stage(run, "Verifying manifest", func() (err error) {
		rel, err = archive.Verify(ctx, func(fingerprint string) (release.Package, bool) {
			p, err := u.db.PackageByFingerprint(ctx, fingerprint)
			return p, err == nil
		})
		return err
	}); err != nil {
		return "", err
	}
	unlock, err := run.Lock(ctx, "release", rel.Name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := u.compareWithEarlier(ctx, rel); err != nil {
		return "", err
	}
	if err := u.keepPackages(ctx, run, archive, rel, fix); err != nil {
		return "", err
	}
	if err := u.keepJobs(ctx, run, archive, rel); err != nil {
		return "", err
	}
	id := rel.Name + "/" + rel.Version
	if err := run.Stage("Release has been created", 1).Do(id, func(*task.Step) error {
		return u.db.PutRelease(ctx, *rel)
	}); err != nil {
		return "", err
	}
	return fmt.Sprintf("Created release '%s'", id), nil
}

// compareWithEarlier refuses another content under a name and version that
// deployments may already use.
func (u *Uploads) compareWithEarlier(ctx context.Context, rel *release.Release) error {
	earlier, err := u.db.Release(ctx, rel.Name, rel.Version)
	if errors.Is(err, db.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if earlier.CommitHash != rel.CommitHash || earlier.UncommittedChanges != rel.UncommittedChanges {
		return task.Errorf(codeCommitHashMismatch, "release '%s/%s' has already been uploaded with commit_hash as '%s' and uncommitted_changes as '%t'",
			rel.Name, rel.Version, earlier.CommitHash, earlier.UncommittedChanges)
	}
	for _, p := range rel.Packages {
		if have, ok := earlier.Package(p.Name); ok && have.Fingerprint != p.Fingerprint {
			return task.Errorf(codePackageMismatch, "package '%s' had different fingerprint in previously uploaded release '%s/%s'", p.Name, rel.Name, rel.Version)
		}
	}
	for _, j := range rel.Jobs {
		if have, ok := earlier.Job(j.Name); ok && have.Fingerprint != j.Fingerprint {
			return task.Errorf(codeJobMismatch, "job '%s' had different fingerprint in previously uploaded release '%s/%s'", j.Name, rel.Name, rel.Version)
		}
	}
	return nil
}

// keepPackages stores the packages that are new and, unless they are to be
// fixed, uses the ones from earlier uploads with the same fingerprint.
func (u *Uploads) keepPackages(ctx context.Context, run *task.Run, archive *release.Archive, rel *release.Release, fix bool) error {
	var fresh []release.Package
	existing := 0
	for i, p := range rel.Packages {
		have, err := u.db.PackageByFingerprint(ctx, p.Fingerprint)
		if err != nil && !errors.Is(err, db.ErrNotFound) {
			return err
		}
		if err == nil && !fix && u.store.Has(have.Blob) {
			rel.Packages[i].Blob, rel.Packages[i].Digest = have.Blob, have.Digest
			existing++
			continue
		}
		fresh = append(fresh, p)
	}
	if len(fresh) > 0 {
		created := run.Stage("Creating new packages", len(fresh))
		for _, p := range fresh {
			if err := created.Do(p.Name+"/"+p.Version, func(*task.Step) error { return archive.KeepPackage(p) }); err != nil {
				return err
			}
		}
	}
	if existing > 0 {
		return stage(run, fmt.Sprintf("Processing %s", count(existing, "existing package")), func() error { return nil })
	}
	return nil
}

func (u *Uploads) keepJobs(ctx context.Context, run *task.Run, archive *release.Archive, rel *release.Release) error {
	if len(rel.Jobs) == 0 {
		return nil
	}
	created := run.Stage("Creating new jobs", len(rel.Jobs))
	for _, j := range rel.Jobs {
		if err := created.Do(j.Name+"/"+j.Version, func(*task.Step) error {
			return errors.Join(ctx.Err(), archive.KeepJob(j))
		}); err != nil {
			return err
		}
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// DeleteRelease deletes one version of a release, or all of them when version
// is empty, unless a deployment uses it.
func (u *Uploads) DeleteRelease(ctx context.Context, run *task.Run, name, version string) (string, error) {
	unlock, err := run.Lock(ctx, "release", name)
	if err != nil {
		return "", err
	}
	defer unlock()
	versions, err := u.versions(ctx, name, version)
	if err != nil {
		return "", err
	}
	names, err := u.users(ctx, func(d db.Deployment) []db.NameVersion { return d.Releases }, name, version)
	switch {
	case err != nil:
		return "", err
	case names != "" && version != "":
		return "", task.Errorf(codeVersionInUse, "ReleaseVersion '%s/%s' is still in use by: %s", name, version, names)
	case names != "":
		return "", task.Errorf(codeReleaseInUse, "Release '%s' is still in use by: %s", name, names)
	}
	deleting := run.Stage("Deleting release versions", len(versions))
	for _, v := range versions {
		if err := deleting.Do(name+"/"+v, func(*task.Step) error { return u.db.DeleteRelease(ctx, name, v) }); err != nil {
			return "", err
		}
	}
	return "/release/" + name, u.collect(ctx)
}

// versions lists the uploaded versions that a deletion is about.
func (u *Uploads) versions(ctx context.Context, name, version string) ([]string, error) {
	if version != "" {
		_, err := u.db.Release(ctx, name, version)
		return []string{version}, notFound(err, task.Errorf(codeVersionNotFound, "Release version '%s/%s' doesn't exist", name, version))
	}
	releases, err := u.db.Releases(ctx)
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, r := range releases {
		if r.Name == name {
			versions = append(versions, r.Version)
		}
	}
	if versions == nil {
		return nil, task.Errorf(codeReleaseNotFound, "Release '%s' doesn't exist", name)
	}
	return versions, nil
}
