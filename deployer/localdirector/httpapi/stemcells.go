package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

func (a *api) listStemcells(w http.ResponseWriter, r *http.Request) error {
	rows, err := a.DB.Stemcells(r.Context())
	if err != nil {
		return err
	}
	used, err := a.used(r.Context(), func(d db.Deployment) []db.NameVersion { return d.Stemcells })
	if err != nil {
		return err
	}
	type deployment struct {
		Name string `json:"name"`
	}
	type stemcell struct {
		Name            string       `json:"name"`
		OperatingSystem string       `json:"operating_system"`
		Version         string       `json:"version"`
		CID             string       `json:"cid"`
		CPI             string       `json:"cpi"`
		Deployments     []deployment `json:"deployments"`
		APIVersion      int          `json:"api_version"`
		ID              int64        `json:"id"`
	}
	list := []stemcell{}
	for _, s := range rows {
		entry := stemcell{
			Name: s.Name, OperatingSystem: s.OS, Version: s.Version, CID: s.CID,
			Deployments: []deployment{}, APIVersion: s.APIVersion, ID: s.ID,
		}
		for _, name := range used[db.NameVersion{Name: s.Name, Version: s.Version}] {
			entry.Deployments = append(entry.Deployments, deployment{name})
		}
		list = append(list, entry)
	}
	return writeHTMLJSON(w, list)
}

func (a *api) uploadStemcell(w http.ResponseWriter, r *http.Request) error {
	return a.takeIn(w, r, task.Request{Type: typeUpdateStemcell, Description: "create stemcell"}, a.Uploads.CreateStemcell)
}

func (a *api) deleteStemcell(w http.ResponseWriter, r *http.Request) error {
	name, version, force := r.PathValue("name"), r.PathValue("version"), isTrue(r, "force")
	return a.start(w, r, task.Request{Type: typeDeleteStemcell, Description: "delete stemcell: " + name + "/" + version},
		func(ctx context.Context, run *task.Run) (string, error) {
			return a.Uploads.DeleteStemcell(ctx, run, name, version, force)
		})
}

// stemcellNeeded answers whether a stemcell is yet to be uploaded.
func (a *api) stemcellNeeded(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		Stemcell *struct {
			Name    *string `json:"name"`
			Version *string `json:"version"`
		} `json:"stemcell"`
	}
	if err := decode(w, r, &asked); err != nil {
		return err
	}
	switch {
	case asked.Stemcell == nil:
		return task.Errorf(codeMissingField, "Missing 'stemcell' field")
	case asked.Stemcell.Name == nil:
		return task.Errorf(codeMissingField, "Missing 'name' field")
	case asked.Stemcell.Version == nil:
		return task.Errorf(codeMissingField, "Missing 'version' field")
	}
	_, err := a.DB.Stemcell(r.Context(), *asked.Stemcell.Name, *asked.Stemcell.Version)
	if err != nil && !errors.Is(err, db.ErrNotFound) {
		return err
	}
	return writeHTMLJSON(w, map[string]bool{"needed": err != nil})
}
