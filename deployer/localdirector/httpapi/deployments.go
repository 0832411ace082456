package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/operation"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// deploymentJSON is an entry of the list of deployments. A request can leave
// out all but the first two.
type deploymentJSON struct {
	Name        string            `json:"name"`
	Teams       []string          `json:"teams"`
	CloudConfig *string           `json:"cloud_config,omitempty"`
	Stemcells   *[]db.NameVersion `json:"stemcells,omitempty"`
	Releases    *[]db.NameVersion `json:"releases,omitempty"`
	Locked      *bool             `json:"locked,omitempty"`
}

func (a *api) listDeployments(w http.ResponseWriter, r *http.Request) error {
	rows, err := a.DB.Deployments(r.Context())
	if err != nil {
		return err
	}
	current, err := a.currentConfigs(r.Context(), "cloud")
	if err != nil {
		return err
	}
	locked := a.lockedDeployments()
	list := make([]deploymentJSON, 0, len(rows))
	for _, row := range rows {
		d := deploymentJSON{Name: row.Name, Teams: []string{}}
		if !isTrue(r, "exclude_configs") {
			d.CloudConfig = new(cloudConfigState(row.CloudConfigIDs, current))
		}
		if !isTrue(r, "exclude_stemcells") {
			d.Stemcells = new(sorted(row.Stemcells))
		}
		if !isTrue(r, "exclude_releases") {
			d.Releases = new(sorted(row.Releases))
		}
		if !isTrue(r, "exclude_lock") {
			d.Locked = new(locked[row.Name])
		}
		list = append(list, d)
	}
	return writeHTMLJSON(w, list)
}

// sorted is a list for JSON: never null, by name.
func sorted(list []db.NameVersion) []db.NameVersion {
	list = append([]db.NameVersion{}, list...)
	slices.SortFunc(list, func(a, b db.NameVersion) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return list
}

// currentConfigs lists the newest version of every config of a type, in the
// order they were made.
func (a *api) currentConfigs(ctx context.Context, kind string) ([]int64, error) {
	configs, err := a.DB.Configs(ctx, db.ConfigFilter{Type: kind, Latest: true})
	if err != nil {
		return nil, err
	}
	ids := make([]int64, 0, len(configs))
	for _, c := range configs {
		ids = append(ids, c.ID)
	}
	slices.Sort(ids)
	return ids, nil
}

func cloudConfigState(used, current []int64) string {
	used = slices.Sorted(slices.Values(used))
	switch {
	case len(used) == 0:
		return "none"
	case slices.Equal(used, current):
		return "latest"
	}
	return "outdated"
}

func (a *api) lockedDeployments() map[string]bool {
	locked := map[string]bool{}
	for _, l := range a.Queue.Locks() {
		if l.Type == "deployment" {
			locked[l.Resource[0]] = true
		}
	}
	return locked
}

// showDeployment answers the manifest of the last successful deploy, null
// when there was none.
func (a *api) showDeployment(w http.ResponseWriter, r *http.Request) error {
	d, err := a.deployment(r)
	if err != nil {
		return err
	}
	var manifest *string
	if d.Manifest != "" {
		manifest = &d.Manifest
	}
	return writeHTMLJSON(w, map[string]*string{"manifest": manifest})
}

func (a *api) deleteDeployment(w http.ResponseWriter, r *http.Request) error {
	d, err := a.deployment(r)
	if err != nil {
		return err
	}
	request := operation.DeleteRequest{Deployment: d.Name, Force: isTrue(r, "force")}
	return a.start(w, r, task.Request{
		Type: typeDeleteDeployment, Description: "delete deployment " + d.Name, Deployment: d.Name,
	}, func(ctx context.Context, run *task.Run) (string, error) {
		return a.Deployments.Delete(ctx, run, request)
	})
}

// listVariables answers the names and identities of the variables, never
// their values.
func (a *api) listVariables(w http.ResponseWriter, r *http.Request) error {
	d, err := a.deployment(r)
	if err != nil {
		return err
	}
	rows, err := a.DB.Variables(r.Context(), d.Name)
	if err != nil {
		return err
	}
	type variable struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	list := make([]variable, 0, len(rows))
	for _, v := range rows {
		list = append(list, variable{v.ID, v.Name})
	}
	return writeHTMLJSON(w, list)
}

// listDeploymentConfigs answers which configs the named deployments use.
func (a *api) listDeploymentConfigs(w http.ResponseWriter, r *http.Request) error {
	type config struct {
		ID   int64  `json:"id"`
		Type string `json:"type"`
		Name string `json:"name"`
	}
	type usedConfig struct {
		Deployment string `json:"deployment"`
		Config     config `json:"config"`
	}
	names := r.URL.Query()["deployment[]"]
	rows, err := a.DB.Deployments(r.Context())
	if err != nil {
		return err
	}
	list := []usedConfig{}
	for _, d := range rows {
		if !slices.Contains(names, d.Name) {
			continue
		}
		for _, id := range d.CloudConfigIDs {
			c, err := a.DB.Config(r.Context(), id)
			if err != nil {
				if orElse(err, nil) == nil {
					continue // deleted since
				}
				return err
			}
			list = append(list, usedConfig{d.Name, config{c.ID, c.Type, c.Name}})
		}
	}
	return writeHTMLJSON(w, list)
}
