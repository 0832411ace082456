package operation

import (
	"context"
	"encoding/json"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// audited runs f between two entries of the director's trail of events: the
// second points to the first and carries f's error. The name of the object may
// become known only in f. That the trail cannot be written stops nothing.
func audited(ctx context.Context, run *task.Run, e db.Event, f func(end *db.Event) error) error {
	ctx = context.WithoutCancel(ctx)
	parent, auditErr := run.Event(ctx, e)
	if auditErr != nil {
		run.Log().Error("write the trail of events", "error", auditErr)
	}
	end := e
	end.Context = nil
	end.ParentID = parent
	err := f(&end)
	if err != nil {
		end.Error = err.Error()
	}
	if _, auditErr := run.Event(ctx, end); auditErr != nil {
		run.Log().Error("write the trail of events", "error", auditErr)
	}
	return err
}

// instanceEvent is an entry about an instance.
func instanceEvent(action string, row db.Instance) db.Event {
	return db.Event{Action: action, ObjectType: "instance", ObjectName: row.Name(), Deployment: row.Deployment, Instance: row.Name()}
}

// partEvent is an entry about a VM or disk of an instance.
func partEvent(action, kind, cid string, row db.Instance) db.Event {
	return db.Event{Action: action, ObjectType: kind, ObjectName: cid, Deployment: row.Deployment, Instance: row.Name()}
}

// eventContext renders what an entry says beside its fields.
func eventContext(fields map[string]any) json.RawMessage {
	text, err := json.Marshal(fields)
	if err != nil {
		return nil // not reached: strings and lists of strings only
	}
	return text
}
