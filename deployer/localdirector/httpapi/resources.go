package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

func (a *api) listLocks(w http.ResponseWriter, _ *http.Request) error {
	type lock struct {
		Type     string   `json:"type"`
		Resource []string `json:"resource"`
		Timeout  string   `json:"timeout"`
		TaskID   string   `json:"task_id"`
	}
	list := []lock{}
	for _, l := range a.Queue.Locks() {
		timeout := fmt.Sprintf("%d.%06d", l.Expires.Unix(), l.Expires.Nanosecond()/1000)
		list = append(list, lock{l.Type, l.Resource, timeout, strconv.FormatInt(l.TaskID, 10)})
	}
	return writeJSON(w, list)
}

func (a *api) showResurrection(w http.ResponseWriter, r *http.Request) error {
	paused, err := a.DB.Setting(r.Context(), db.SettingResurrectionPaused)
	if err != nil {
		return err
	}
	return writeHTMLJSON(w, map[string]bool{"resurrection": paused != "true"})
}

// pauseResurrection stops or resumes resurrection for all deployments.
func (a *api) pauseResurrection(w http.ResponseWriter, r *http.Request) error {
	var wanted struct {
		Paused *bool `json:"resurrection_paused"`
	}
	if err := decode(w, r, &wanted); err != nil {
		return err
	}
	if wanted.Paused == nil {
		return task.Errorf(codeMissingField, "Missing 'resurrection_paused' field")
	}
	if err := a.DB.SetSetting(r.Context(), db.SettingResurrectionPaused, strconv.FormatBool(*wanted.Paused)); err != nil {
		return err
	}
	writeText(w, http.StatusOK, typeHTML, "")
	return nil
}

func (a *api) listOrphanDisks(w http.ResponseWriter, r *http.Request) error {
	rows, err := a.DB.OrphanDisks(r.Context())
	if err != nil {
		return err
	}
	type disk struct {
		CID             string          `json:"disk_cid"`
		Size            int             `json:"size"`
		AZ              string          `json:"az"`
		Deployment      string          `json:"deployment_name"`
		Instance        string          `json:"instance_name"`
		CloudProperties json.RawMessage `json:"cloud_properties"`
		OrphanedAt      string          `json:"orphaned_at"`
	}
	list := make([]disk, 0, len(rows))
	for _, d := range rows {
		properties := d.CloudProperties
		if properties == nil {
			properties = json.RawMessage(`{}`)
		}
		list = append(list, disk{d.CID, d.SizeMiB, d.AZ, d.Deployment, d.Instance, properties, d.OrphanedAt.UTC().Format(configTime)})
	}
	return writeJSON(w, list)
}

// deleteOrphanDisk deletes a disk that lost its instance. Turning a disk that
// still has one into an orphan is not offered.
func (a *api) deleteOrphanDisk(w http.ResponseWriter, r *http.Request) error {
	if isTrue(r, "orphan") {
		return notOffered("orphan-disk")(w, r)
	}
	cid := r.PathValue("cid")
	return a.start(w, r, task.Request{Type: typeDeleteDisk, Description: "delete orphan disks"},
		func(ctx context.Context, run *task.Run) (string, error) {
			return a.Deployments.DeleteOrphanDisk(ctx, run, cid)
		})
}

// emptyList answers for what this director never has.
func (a *api) emptyList(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, []struct{}{})
}
