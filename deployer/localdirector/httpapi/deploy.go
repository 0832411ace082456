package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/operation"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// namePattern is what the director takes as the name of a deployment; it goes
// into paths of files and of the API.
var namePattern = regexp.MustCompile(`^[-0-9A-Za-z_+.]{1,255}$`)

// deploy takes a manifest. What can be seen at once is refused at once; the
// deployment exists from then on, even when its task fails.
func (a *api) deploy(w http.ResponseWriter, r *http.Request) error {
	text, err := body(w, r, maxYAML)
	if err != nil {
		return err
	}
	doc, err := manifest.Read(text)
	if err != nil {
		return err
	}
	if name := doc.Name(); !namePattern.MatchString(name) || name == "." || name == ".." {
		return task.Errorf(codeInvalidValue, "Invalid deployment name '%.60s': it may have letters, digits, '-', '_', '+' and '.'", name)
	}
	q := r.URL.Query()
	request := operation.DeployRequest{
		Manifest:                text,
		Recreate:                isTrue(r, "recreate"),
		RecreatePersistentDisks: isTrue(r, "recreate_persistent_disks"),
		Fix:                     isTrue(r, "fix"),
		DryRun:                  isTrue(r, "dry_run"),
		SkipDrain:               q.Get("skip_drain"),
		Canaries:                q.Get("canaries"),
		MaxInFlight:             q.Get("max_in_flight"),
		ForceLatestVariables:    isTrue(r, "force_latest_variables"),
	}
	if request.CloudConfigIDs, err = a.cloudConfigsOf(r.Context(), q.Get("context")); err != nil {
		return err
	}
	if request.New, err = a.DB.EnsureDeployment(r.Context(), doc.Name(), request.CloudConfigIDs); err != nil {
		return err
	}
	description := "create deployment"
	if request.DryRun {
		description += " (dry run)"
	}
	return a.start(w, r, task.Request{
		Type: typeUpdateDeployment, Description: description, Deployment: doc.Name(),
	}, func(ctx context.Context, run *task.Run) (string, error) {
		if err := a.warnOfRuntimeConfigs(ctx, run); err != nil {
			return "", err
		}
		return a.Deployments.Deploy(ctx, run, request)
	})
}

// cloudConfigsOf reads the context that a client got with a diff, so that it
// deploys what it has seen; without one the current configs count.
func (a *api) cloudConfigsOf(ctx context.Context, text string) ([]int64, error) {
	if text == "" {
		return a.currentConfigs(ctx, "cloud")
	}
	var seen struct {
		CloudConfigIDs []int64 `json:"cloud_config_ids"`
	}
	if err := json.Unmarshal([]byte(text), &seen); err != nil {
		return nil, invalidJSON([]byte(text), err)
	}
	for _, id := range seen.CloudConfigIDs {
		if c, err := a.DB.Config(ctx, id); err != nil || c.Type != "cloud" {
			if err != nil && !errors.Is(err, db.ErrNotFound) {
				return nil, err
			}
			return nil, task.Errorf(codeInvalidConfigRef, "Context includes invalid config ID")
		}
	}
	return seen.CloudConfigIDs, nil
}

// warnOfRuntimeConfigs tells what would otherwise be a surprise: they are
// kept, and do nothing here.
func (a *api) warnOfRuntimeConfigs(ctx context.Context, run *task.Run) error {
	ids, err := a.currentConfigs(ctx, "runtime")
	if err == nil && len(ids) > 0 {
		run.Warn("Runtime configs are stored but not applied by the local director")
	}
	return err
}

// diffDeployment compares a manifest with the one that is deployed, and the
// current cloud configs with those it was deployed with. Faults of the
// manifest are part of the answer: the deploy will report them.
func (a *api) diffDeployment(w http.ResponseWriter, r *http.Request) error {
	text, err := body(w, r, maxYAML)
	if err != nil {
		return err
	}
	type configIDs struct {
		Cloud   []int64 `json:"cloud_config_ids"`
		Runtime []int64 `json:"runtime_config_ids"`
	}
	answer := struct {
		Context *configIDs          `json:"context,omitempty"`
		Diff    []manifest.DiffLine `json:"diff"`
		Error   string              `json:"error,omitempty"`
	}{Context: &configIDs{}, Diff: []manifest.DiffLine{}}
	if answer.Context.Cloud, err = a.currentConfigs(r.Context(), "cloud"); err != nil {
		return err
	}
	if answer.Context.Runtime, err = a.currentConfigs(r.Context(), "runtime"); err != nil {
		return err
	}
	lines, err := a.diff(r, text, answer.Context.Cloud)
	if fault, ok := errors.AsType[*manifest.Error](err); ok {
		answer.Context, answer.Error = nil, "Unable to diff manifest: "+fault.Message
	} else if err != nil {
		return err
	}
	if lines != nil {
		answer.Diff = lines
	}
	return writeHTMLJSON(w, answer)
}

func (a *api) diff(r *http.Request, text []byte, current []int64) ([]manifest.DiffLine, error) {
	doc, err := manifest.Read(text)
	if err != nil {
		return nil, err
	}
	ctx, before, after := r.Context(), manifest.DiffSide{}, manifest.DiffSide{Manifest: doc}
	d, err := a.DB.Deployment(ctx, r.PathValue("deployment"))
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return nil, err
	}
	if d.ResolvedManifest != "" {
		if before.Manifest, err = manifest.Read([]byte(d.ResolvedManifest)); err != nil {
			return nil, err
		}
		if before.CloudConfigs, err = a.readConfigs(ctx, d.CloudConfigIDs); err != nil {
			return nil, err
		}
	}
	if after.CloudConfigs, err = a.readConfigs(ctx, current); err != nil {
		return nil, err
	}
	have, err := a.available(ctx)
	if err != nil {
		return nil, err
	}
	return manifest.DiffDeployments(before, after, have, r.URL.Query().Get("redact") != "false")
}

// readConfigs reads cloud configs by their numbers. One that was deleted
// since is left out.
func (a *api) readConfigs(ctx context.Context, ids []int64) ([]*manifest.Document, error) {
	var docs []*manifest.Document
	for _, id := range ids {
		c, err := a.DB.Config(ctx, id)
		if errors.Is(err, db.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		doc, err := manifest.ReadConfig([]byte(c.Content))
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

// available is what "latest" can stand for.
func (a *api) available(ctx context.Context) (manifest.Available, error) {
	releases, err := a.DB.Releases(ctx)
	if err != nil {
		return manifest.Available{}, err
	}
	stemcells, err := a.DB.Stemcells(ctx)
	if err != nil {
		return manifest.Available{}, err
	}
	var have manifest.Available
	for _, r := range releases {
		have.Releases = append(have.Releases, manifest.ReleaseVersion{Name: r.Name, Version: r.Version})
	}
	for _, s := range stemcells {
		have.Stemcells = append(have.Stemcells, manifest.StemcellVersion{Name: s.Name, OS: s.OS, Version: s.Version})
	}
	return have, nil
}
