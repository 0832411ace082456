package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

type releaseJSON struct {
	Name     string               `json:"name"`
	Versions []releaseVersionJSON `json:"release_versions"`
}

type releaseVersionJSON struct {
	Version            string   `json:"version"`
	CommitHash         string   `json:"commit_hash"`
	UncommittedChanges bool     `json:"uncommitted_changes"`
	CurrentlyDeployed  bool     `json:"currently_deployed"`
	JobNames           []string `json:"job_names"`
}

func (a *api) listReleases(w http.ResponseWriter, r *http.Request) error {
	rows, err := a.DB.Releases(r.Context())
	if err != nil {
		return err
	}
	slices.SortStableFunc(rows, func(x, y release.Release) int {
		if x.Name != y.Name {
			return 0 // the rows come by name
		}
		return release.CompareVersions(x.Version, y.Version)
	})
	used, err := a.used(r.Context(), func(d db.Deployment) []db.NameVersion { return d.Releases })
	if err != nil {
		return err
	}
	list := []releaseJSON{}
	for _, row := range rows {
		if len(list) == 0 || list[len(list)-1].Name != row.Name {
			list = append(list, releaseJSON{Name: row.Name})
		}
		v := releaseVersionJSON{
			Version: row.Version, CommitHash: row.CommitHash, UncommittedChanges: row.UncommittedChanges,
			CurrentlyDeployed: len(used[db.NameVersion{Name: row.Name, Version: row.Version}]) > 0,
			JobNames:          []string{},
		}
		for _, j := range row.Jobs {
			v.JobNames = append(v.JobNames, j.Name)
		}
		last := &list[len(list)-1]
		last.Versions = append(last.Versions, v)
	}
	return writeHTMLJSON(w, list)
}

// used maps artifacts to the deployments that use them.
func (a *api) used(ctx context.Context, of func(db.Deployment) []db.NameVersion) (map[db.NameVersion][]string, error) {
	deployments, err := a.DB.Deployments(ctx)
	if err != nil {
		return nil, err
	}
	used := map[db.NameVersion][]string{}
	for _, d := range deployments {
		for _, nv := range of(d) {
			used[nv] = append(used[nv], d.Name)
		}
	}
	return used, nil
}

func (a *api) uploadRelease(w http.ResponseWriter, r *http.Request) error {
	return a.takeIn(w, r, task.Request{Type: typeUpdateRelease, Description: "create release"}, a.Uploads.CreateRelease)
}

func (a *api) deleteRelease(w http.ResponseWriter, r *http.Request) error {
	name, version := r.PathValue("name"), r.URL.Query().Get("version")
	if _, err := a.releaseVersions(r.Context(), name); err != nil {
		return err
	}
	return a.start(w, r, task.Request{Type: typeDeleteRelease, Description: "delete release: " + name},
		func(ctx context.Context, run *task.Run) (string, error) {
			return a.Uploads.DeleteRelease(ctx, run, name, version)
		})
}

// releaseVersions finds all versions of a release.
func (a *api) releaseVersions(ctx context.Context, name string) ([]release.Release, error) {
	rows, err := a.DB.Releases(ctx)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r release.Release) bool { return r.Name != name })
	if len(rows) == 0 {
		return nil, task.Errorf(codeReleaseNotFound, "Release '%s' doesn't exist", name)
	}
	return rows, nil
}

// showRelease answers what is in one version (`bosh inspect-release`), or
// which versions there are.
func (a *api) showRelease(w http.ResponseWriter, r *http.Request) error {
	name, version := r.PathValue("name"), r.URL.Query().Get("version")
	rows, err := a.releaseVersions(r.Context(), name)
	if err != nil {
		return err
	}
	if version == "" {
		versions := []string{}
		for _, row := range rows {
			versions = append(versions, row.Version)
		}
		return writeJSON(w, map[string][]string{"versions": versions})
	}
	row, err := a.DB.Release(r.Context(), name, version)
	if err != nil {
		return orElse(err, task.Errorf(codeVersionNotFound, "Release version '%s/%s' doesn't exist", name, version))
	}
	type job struct {
		Name        string                 `json:"name"`
		BlobstoreID string                 `json:"blobstore_id"`
		SHA1        string                 `json:"sha1"`
		Fingerprint string                 `json:"fingerprint"`
		Consumes    []release.ConsumedLink `json:"consumes"`
		Provides    []release.ProvidedLink `json:"provides"`
	}
	type pkg struct {
		Name        string     `json:"name"`
		BlobstoreID string     `json:"blobstore_id"`
		SHA1        string     `json:"sha1"`
		Fingerprint string     `json:"fingerprint"`
		Compiled    []struct{} `json:"compiled_packages"`
	}
	content := struct {
		Jobs     []job `json:"jobs"`
		Packages []pkg `json:"packages"`
	}{[]job{}, []pkg{}}
	for _, j := range row.Jobs {
		content.Jobs = append(content.Jobs, job{j.Name, j.Blob, j.Digest, j.Fingerprint, j.Consumes, j.Provides})
	}
	for _, p := range row.Packages {
		content.Packages = append(content.Packages, pkg{p.Name, p.Blob, p.Digest, p.Fingerprint, []struct{}{}})
	}
	return writeJSON(w, content)
}

// packageList is a release's manifest as far as matching packages goes.
type packageList struct {
	Packages []struct {
		Fingerprint string `yaml:"fingerprint"`
	} `yaml:"packages"`
	Compiled []any `yaml:"compiled_packages"`
}

func readPackageList(w http.ResponseWriter, r *http.Request) (packageList, error) {
	var list packageList
	text, err := body(w, r, maxYAML)
	if err != nil {
		return list, err
	}
	if err := yaml.Unmarshal(text, &list); err != nil || list.Packages == nil && list.Compiled == nil {
		return list, task.Errorf(codeBadManifest, "Manifest doesn't have a usable packages section")
	}
	return list, nil
}

// matchPackages answers the fingerprints that need not be uploaded again.
func (a *api) matchPackages(w http.ResponseWriter, r *http.Request) error {
	list, err := readPackageList(w, r)
	if err != nil {
		return err
	}
	known := []string{}
	for _, p := range list.Packages {
		_, err := a.DB.PackageByFingerprint(r.Context(), p.Fingerprint)
		switch {
		case err == nil && !slices.Contains(known, p.Fingerprint):
			known = append(known, p.Fingerprint)
		case err != nil && !errors.Is(err, db.ErrNotFound):
			return err
		}
	}
	return writeHTMLJSON(w, known)
}

// matchCompiledPackages knows none: compiled releases are not taken.
func (a *api) matchCompiledPackages(w http.ResponseWriter, r *http.Request) error {
	if _, err := readPackageList(w, r); err != nil {
		return err
	}
	return writeHTMLJSON(w, []string{})
}
