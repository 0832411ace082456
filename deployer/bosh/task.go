package bosh

import (
	"strings"
	"time"

	"github.com/cloudfoundry/bosh-cli/v7/director"
)

// task is one of the director's tasks, as far as decisions need it.
type task struct {
	ID          int
	State       string
	Description string
	Result      string
	ContextID   string
	Deployment  string
	User        string
	StartedAt   time.Time // zero while it is queued
	EndedAt     time.Time // zero until it has ended
}

func newTask(r director.TaskResp) task {
	t := task{ID: r.ID, State: r.State, Description: r.Description, Result: r.Result,
		ContextID: r.ContextId, Deployment: r.Deployment, User: r.User}
	if r.StartedAt > 0 {
		t.StartedAt = time.Unix(r.StartedAt, 0).UTC()
	}
	if r.FinishedAt > 0 && !t.unfinished() {
		t.EndedAt = time.Unix(r.FinishedAt, 0).UTC()
	}
	return t
}

func (t task) unfinished() bool {
	switch t.State {
	case "queued", "processing", "cancelling":
		return true
	}
	return false // done, error, cancelled, timeout
}

func (t task) done() bool { return t.State == "done" }

// cancellable: a task that is being cancelled refuses to be once more.
func (t task) cancellable() bool { return t.State == "queued" || t.State == "processing" }

func (t task) isDelete() bool { return strings.HasPrefix(t.Description, "delete deployment") }

func (t task) isDeploy() bool { return t.Description == "create deployment" }

// heldOff tells whether the task ended because another one held the
// deployment's lock: it has changed nothing.
func (t task) heldOff() bool {
	return t.State == "error" && strings.HasPrefix(t.Result, "Failed to acquire lock for lock:deployment:")
}

// holds tells whether a task keeps others off its deployment. Tasks that only
// look do not.
func (t task) holds() bool {
	for _, reading := range []string{"retrieve vm-stats", "fetch logs", "ssh"} {
		if strings.HasPrefix(t.Description, reading) {
			return false
		}
	}
	return true
}
