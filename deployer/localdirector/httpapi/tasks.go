package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// The types of tasks the API starts.
const (
	typeUpdateDeployment = "update_deployment"
	typeDeleteDeployment = "delete_deployment"
	typeUpdateInstance   = "update_instance"
	typeRunErrand        = "run_errand"
	typeUpdateRelease    = "update_release"
	typeDeleteRelease    = "delete_release"
	typeUpdateStemcell   = "update_stemcell"
	typeDeleteStemcell   = "delete_stemcell"
	typeVMs              = "vms"
	typeDeleteDisk       = "delete_orphan_disks"
)

// listedTypes are those that `bosh tasks` shows without --all.
var listedTypes = []string{
	typeUpdateDeployment, typeDeleteDeployment, typeUpdateInstance, typeRunErrand, typeUpdateRelease,
	typeDeleteRelease, typeUpdateStemcell, typeDeleteStemcell,
}

// taskJSON is a task as the API shows it.
type taskJSON struct {
	ID          int64   `json:"id"`
	State       string  `json:"state"`
	Description string  `json:"description"`
	Timestamp   *int64  `json:"timestamp"`
	StartedAt   *int64  `json:"started_at"`
	Result      *string `json:"result"`
	User        string  `json:"user"`
	Deployment  *string `json:"deployment"`
	ContextID   string  `json:"context_id"`
}

func newTaskJSON(t db.Task) taskJSON {
	out := taskJSON{ID: t.ID, State: t.State, Description: t.Description, User: t.User, ContextID: t.ContextID}
	if !t.StartedAt.IsZero() {
		out.StartedAt = new(t.StartedAt.Unix())
	}
	switch {
	case !t.FinishedAt.IsZero():
		out.Timestamp = new(t.FinishedAt.Unix())
	case t.State == task.StateCancelling:
		out.Timestamp = out.StartedAt
	}
	if !task.Unfinished(t.State) {
		out.Result = &t.Result
	}
	if t.Deployment != "" {
		out.Deployment = &t.Deployment
	}
	return out
}

func (a *api) listTasks(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	filter := db.TaskFilter{Deployment: q.Get("deployment"), ContextID: q.Get("context_id")}
	if states := q.Get("state"); states != "" {
		filter.States = strings.Split(states, ",")
	}
	if verbose := q.Get("verbose"); verbose == "" || verbose == "1" {
		filter.Types = listedTypes
	}
	if limit := q.Get("limit"); limit != "" {
		n, _ := strconv.Atoi(limit) // what is no number counts as the least, as in the director
		filter.Limit = max(n, 1)
	}
	rows, err := a.DB.Tasks(r.Context(), filter)
	if err != nil {
		return err
	}
	tasks := make([]taskJSON, 0, len(rows))
	for _, t := range rows {
		tasks = append(tasks, newTaskJSON(t))
	}
	return writeJSON(w, tasks)
}

// task finds the task of the path. What is no number is not even looked for:
// the director answers it with an empty 500.
func (a *api) task(r *http.Request) (db.Task, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return db.Task{}, &textError{http.StatusInternalServerError, "", false}
	}
	t, err := a.DB.Task(r.Context(), id)
	return t, orElse(err, task.Errorf(codeTaskNotFound, "Task %d not found", id))
}

func (a *api) showTask(w http.ResponseWriter, r *http.Request) error {
	t, err := a.task(r)
	if err != nil {
		return err
	}
	return writeJSON(w, newTaskJSON(t))
}

func (a *api) cancelTask(w http.ResponseWriter, r *http.Request) error {
	t, err := a.task(r)
	if err != nil {
		return err
	}
	if err := a.Queue.Cancel(r.Context(), t.ID); err != nil {
		if refused, ok := errors.AsType[*task.NotCancellableError](err); ok {
			return &textError{http.StatusBadRequest, refused.Error(), false}
		}
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// cancelTasks cancels all tasks that match, by default all that are queued.
func (a *api) cancelTasks(w http.ResponseWriter, r *http.Request) error {
	var selector struct {
		States     []string `json:"states"`
		Types      []string `json:"types"`
		Deployment string   `json:"deployment"`
	}
	if err := decode(w, r, &selector); err != nil {
		return err
	}
	cancellable := []string{task.StateQueued, task.StateProcessing}
	for _, state := range selector.States {
		if !slices.Contains(cancellable, state) {
			return &textError{http.StatusBadRequest, fmt.Sprintf("%s is not one of the cancellable states: %s", state, strings.Join(cancellable, ", ")), false}
		}
	}
	if len(selector.States) == 0 {
		selector.States = []string{task.StateQueued}
	}
	tasks, err := a.DB.Tasks(r.Context(), db.TaskFilter{States: selector.States, Types: selector.Types, Deployment: selector.Deployment})
	if err != nil {
		return err
	}
	for _, t := range tasks {
		err := a.Queue.Cancel(r.Context(), t.ID)
		if _, ended := errors.AsType[*task.NotCancellableError](err); err != nil && !ended {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
