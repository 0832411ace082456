package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Event is one entry of the audit trail that `bosh events` shows.
type Event struct {
	ID         int64
	ParentID   int64 // 0: none; the end of an action points to its begin
	Time       time.Time
	User       string
	Action     string // "create", "update", "delete", "acquire", …
	ObjectType string // "deployment", "instance", "vm", "disk", "lock", …
	ObjectName string
	Error      string
	Task       string
	Deployment string
	Instance   string          // group/id
	Context    json.RawMessage // a JSON object; nil is {}
}

// EventFilter selects events; zero fields select all.
type EventFilter struct {
	BeforeID      int64
	Before, After time.Time
	Task          string
	Deployment    string
	Instance      string
	User          string
	Action        string
	ObjectType    string
	ObjectName    string
	Limit         int
}

// maxEvents bounds the trail; the director keeps as many.
const maxEvents = 10000

// AddEvent appends to the trail, dropping its oldest entries beyond the
// bound, and returns the new entry's number.
func (d *DB) AddEvent(ctx context.Context, e Event) (int64, error) {
	if len(e.Context) == 0 {
		e.Context = json.RawMessage(`{}`)
	}
	res, err := d.exec(ctx, `INSERT INTO events (parent_id, time, user, action, object_type, object_name, error, task,
			deployment, instance, context) VALUES (?,?,?,?,?,?,?,?,?,?,?)`,
		e.ParentID, unix(e.Time), e.User, e.Action, e.ObjectType, e.ObjectName, e.Error, e.Task, e.Deployment,
		e.Instance, string(e.Context))
	if err != nil {
		return 0, fmt.Errorf("store an event: %w", err)
	}
	id, err := res.LastInsertId()
	if err != nil {
		return 0, fmt.Errorf("store an event: %w", err)
	}
	if id%256 == 0 {
		if _, err := d.exec(ctx, `DELETE FROM events WHERE id <= ?`, id-maxEvents); err != nil {
			return 0, fmt.Errorf("drop old events: %w", err)
		}
	}
	return id, nil
}

// Event finds one entry. Faults: ErrNotFound.
func (d *DB) Event(ctx context.Context, id int64) (Event, error) {
	e, err := one(ctx, d, scanEvent, `SELECT `+eventColumns+` FROM events WHERE id = ?`, id)
	if err != nil {
		return Event{}, fmt.Errorf("find event %d: %w", id, err)
	}
	return e, nil
}

// Events lists the entries f selects, the newest first.
func (d *DB) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	var where conditions
	if f.BeforeID > 0 {
		where.add("id < ?", f.BeforeID)
	}
	if !f.Before.IsZero() {
		where.add("time < ?", f.Before.Unix())
	}
	if !f.After.IsZero() {
		where.add("time > ?", f.After.Unix())
	}
	for _, c := range []struct{ column, value string }{
		{"task", f.Task}, {"deployment", f.Deployment}, {"instance", f.Instance}, {"user", f.User},
		{"action", f.Action}, {"object_type", f.ObjectType}, {"object_name", f.ObjectName},
	} {
		if c.value != "" {
			where.add(c.column+" = ?", c.value)
		}
	}
	list, err := all(ctx, d, scanEvent, `SELECT `+eventColumns+` FROM events `+where.clause()+
		` ORDER BY id DESC`+limit(f.Limit), where.args...)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return list, nil
}

const eventColumns = `id, parent_id, time, user, action, object_type, object_name, error, task, deployment, instance, context`

func scanEvent(s scanner) (Event, error) {
	var e Event
	var at sql.NullInt64
	err := s.Scan(&e.ID, &e.ParentID, &at, &e.User, &e.Action, &e.ObjectType, &e.ObjectName, &e.Error, &e.Task,
		&e.Deployment, &e.Instance, rawJSON{&e.Context})
	e.Time = fromUnix(at)
	return e, err
}
