package bosh

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/cloudfoundry/bosh-cli/v7/director"
)

// remote is the director's API as far as the deployer uses it. Errors hold a
// *failure.
type remote struct{ conn *connection }

// tasksOf lists the tasks that carry a context id, the oldest first.
func (r remote) tasksOf(ctx context.Context, contextID string) ([]task, error) {
	e := r.conn.exchange(ctx)
	answer, err := e.client().FindTasksByContextId(contextID)
	if err != nil {
		return nil, e.result(err, "look for tasks of %s", contextID)
	}
	return newTasks(answer, func(t task) bool { return t.ContextID == contextID }), nil
}

// holding lists a deployment's unfinished tasks that keep others off it.
func (r remote) holding(ctx context.Context, deployment string) ([]task, error) {
	e := r.conn.exchange(ctx)
	answer, err := e.client().CurrentTasks(director.TasksFilter{Deployment: deployment, All: true})
	if err != nil {
		return nil, e.result(err, "look for unfinished tasks of deployment %s", deployment)
	}
	return newTasks(answer, func(t task) bool { return t.Deployment == deployment && t.unfinished() && t.holds() }), nil
}

// recent lists a deployment's last tasks, the oldest first.
func (r remote) recent(ctx context.Context, deployment string) ([]task, error) {
	e := r.conn.exchange(ctx)
	answer, err := e.client().RecentTasks(30, director.TasksFilter{Deployment: deployment, All: true})
	if err != nil {
		return nil, e.result(err, "look for recent tasks of deployment %s", deployment)
	}
	return newTasks(answer, func(t task) bool { return t.Deployment == deployment }), nil
}

func newTasks(answer []director.TaskResp, keep func(task) bool) []task {
	var tasks []task
	for _, a := range answer {
		if t := newTask(a); keep(t) {
			tasks = append(tasks, t)
		}
	}
	slices.SortFunc(tasks, func(a, b task) int { return a.ID - b.ID })
	return tasks
}

// deploy submits a manifest and returns the task as it was just after.
func (r remote) deploy(ctx context.Context, contextID string, manifest []byte) (task, error) {
	e := r.conn.exchange(ctx)
	body, _, err := e.request().WithContext(contextID).RawPost("/deployments", manifest, func(req *http.Request) {
		req.Header.Set("Content-Type", "text/yaml")
	})
	return e.submitted(body, err, "submit a deployment as %s", contextID)
}

// delete submits a deletion.
func (r remote) delete(ctx context.Context, contextID, deployment string, force bool) (task, error) {
	path := "/deployments/" + deployment
	if force {
		path += "?force=true"
	}
	e := r.conn.exchange(ctx)
	body, _, err := e.request().WithContext(contextID).RawDelete(path)
	return e.submitted(body, err, "submit the deletion of %s as %s", deployment, contextID)
}

// submitted reads the task that a submission was redirected to. Once the
// redirect was seen there is no doubt, whatever became of following it.
func (e *exchange) submitted(body []byte, err error, format string, args ...any) (task, error) {
	var answer director.TaskResp
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	switch {
	case err == nil && answer.ID != 0:
		return newTask(answer), nil
	case e.task != 0:
		return task{ID: e.task, State: "queued"}, nil
	case err == nil:
		err = fmt.Errorf("the director named no task")
	}
	if e.failure == nil {
		e.failure = &failure{sent: true, cause: err} // an answer that makes no sense: in doubt
	}
	return task{}, e.result(err, format, args...)
}

// cancel asks for a task's end. One that has ended meanwhile is no error.
func (r remote) cancel(ctx context.Context, id int) error {
	e := r.conn.exchange(ctx)
	err := e.result(e.client().CancelTask(id), "cancel task %d", id)
	if err != nil && (e.failure.is(http.StatusBadRequest) || absent(err, codeNoTask)) {
		return nil
	}
	return err
}

func (f *failure) is(status int) bool { return f != nil && f.status == status }

// manifest returns a deployment's manifest, empty when its first deploy has
// not succeeded.
func (r remote) manifest(ctx context.Context, deployment string) (manifest string, exists bool, err error) {
	e := r.conn.exchange(ctx)
	answer, err := e.client().Deployment(deployment)
	if err := e.result(err, "read deployment %s", deployment); err != nil {
		if absent(err, codeNoDeployment) {
			return "", false, nil
		}
		return "", false, err
	}
	return answer.Manifest, true, nil
}

// instanceRow is an instance as the director lists it; the library's type has
// no index.
type instanceRow struct {
	Group string   `json:"job"`
	Index int      `json:"index"`
	ID    string   `json:"id"`
	AZ    string   `json:"az"`
	IPs   []string `json:"ips"`
}

func (r remote) instances(ctx context.Context, deployment string) ([]instanceRow, error) {
	e := r.conn.exchange(ctx)
	var rows []instanceRow
	err := e.request().Get("/deployments/"+deployment+"/instances", &rows)
	return rows, e.result(err, "list instances of deployment %s", deployment)
}

// deploymentRow is a deployment as the director lists it.
type deploymentRow struct {
	Name   string `json:"name"`
	Locked bool   `json:"locked"`
}

func (r remote) deployments(ctx context.Context) ([]deploymentRow, error) {
	e := r.conn.exchange(ctx)
	var rows []deploymentRow
	err := e.request().Get("/deployments?exclude_configs=true&exclude_releases=true&exclude_stemcells=true", &rows)
	return rows, e.result(err, "list deployments")
}

// user is who the director takes us for; empty when it refuses us. A wrong
// password alone does not make /info fail.
func (r remote) user(ctx context.Context) (string, error) {
	e := r.conn.exchange(ctx)
	info, err := e.client().Info()
	return info.User, e.result(err, "ask the director who we are")
}

// events reads a task's event output from an offset on. whole tells that the
// director sent all of it instead.
func (r remote) events(ctx context.Context, id int, offset int64) (chunk []byte, whole bool, err error) {
	e := r.conn.exchange(ctx)
	var out bytes.Buffer
	_, res, err := e.request().RawGet(fmt.Sprintf("/tasks/%d/output?type=event", id), untracked{&out}, func(req *http.Request) {
		if offset > 0 {
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		}
	})
	if err != nil {
		if e.failure.is(http.StatusRequestedRangeNotSatisfiable) {
			return nil, false, nil // nothing new
		}
		return nil, false, e.result(err, "read events of task %d", id)
	}
	return out.Bytes(), res.StatusCode != http.StatusPartialContent, nil
}

// untracked tells the library that no progress bar is wanted.
type untracked struct{ *bytes.Buffer }

// ShouldTrackDownload is the library's question.
func (untracked) ShouldTrackDownload() bool { return false }
