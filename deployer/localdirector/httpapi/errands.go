package httpapi

import (
	"context"
	"net/http"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/operation"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

func (a *api) listErrands(w http.ResponseWriter, r *http.Request) error {
	d, err := a.deployment(r)
	if err != nil {
		return err
	}
	names, err := a.Inspections.Errands(r.Context(), d.Name)
	if err != nil {
		return err
	}
	type errand struct {
		Name string `json:"name"`
	}
	list := make([]errand, 0, len(names))
	for _, name := range names {
		list = append(list, errand{name})
	}
	return writeHTMLJSON(w, list)
}

func (a *api) runErrand(w http.ResponseWriter, r *http.Request) error {
	d, err := a.deployment(r)
	if err != nil {
		return err
	}
	var wanted struct {
		KeepAlive   bool                       `json:"keep-alive"`
		WhenChanged bool                       `json:"when-changed"`
		Instances   []operation.InstanceFilter `json:"instances"`
	}
	if err := decode(w, r, &wanted); err != nil {
		return err
	}
	request := operation.ErrandRequest{
		Deployment: d.Name, Name: r.PathValue("errand"),
		KeepAlive: wanted.KeepAlive, WhenChanged: wanted.WhenChanged, Instances: wanted.Instances,
	}
	return a.start(w, r, task.Request{
		Type: typeRunErrand, Description: "run errand " + request.Name + " from deployment " + d.Name, Deployment: d.Name,
	}, func(ctx context.Context, run *task.Run) (string, error) {
		return a.Inspections.RunErrand(ctx, run, request)
	})
}
