package db

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// Task is one row of the director's tasks. Package task says which states
// there are and writes the rows.
type Task struct {
	ID          int64
	State       string
	Type        string // "update_deployment", "vms", …: what may be hidden or cancelled as a kind
	Description string
	Deployment  string
	ContextID   string
	User        string
	// StartedAt is zero while the task is queued, FinishedAt until it ended.
	StartedAt  time.Time
	FinishedAt time.Time
	Result     string
}

// TaskFilter selects tasks; empty fields select all.
type TaskFilter struct {
	States       []string
	Types        []string
	ExcludeTypes []string
	Deployment   string
	ContextID    string
	IDs          []int64
	Limit        int // 0: no limit
}

// AddTask stores a new task and returns its number.
func (d *DB) AddTask(ctx context.Context, t Task) (int64, error) {
	res, err := d.exec(ctx, `INSERT INTO tasks (state, type, description, deployment, context_id, user, started_at,
			finished_at, result) VALUES (?,?,?,?,?,?,?,?,?)`,
		t.State, t.Type, t.Description, t.Deployment, t.ContextID, t.User, unix(t.StartedAt), unix(t.FinishedAt), t.Result)
	if err != nil {
		return 0, fmt.Errorf("store a task: %w", err)
	}
	return res.LastInsertId()
}

// UpdateTask stores t when the task's state is still one of from, and says
// whether it was: two who change a task at once cannot both win.
func (d *DB) UpdateTask(ctx context.Context, t Task, from ...string) (bool, error) {
	args := []any{t.State, unix(t.StartedAt), unix(t.FinishedAt), t.Result, t.ID}
	res, err := d.exec(ctx, `UPDATE tasks SET state = ?, started_at = ?, finished_at = ?, result = ?
		WHERE id = ? AND state IN (`+marks(len(from))+`)`, append(args, anys(from)...)...)
	if err != nil {
		return false, fmt.Errorf("update task %d: %w", t.ID, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// Task finds a task. Faults: ErrNotFound.
func (d *DB) Task(ctx context.Context, id int64) (Task, error) {
	t, err := one(ctx, d, scanTask, `SELECT `+taskColumns+` FROM tasks WHERE id = ?`, id)
	if err != nil {
		return Task{}, fmt.Errorf("find task %d: %w", id, err)
	}
	return t, nil
}

// Tasks lists the tasks that f selects, the newest first.
func (d *DB) Tasks(ctx context.Context, f TaskFilter) ([]Task, error) {
	var where conditions
	where.in("state", anys(f.States))
	where.in("type", anys(f.Types))
	where.notIn("type", anys(f.ExcludeTypes))
	where.in("id", anys(f.IDs))
	if f.Deployment != "" {
		where.add("deployment = ?", f.Deployment)
	}
	if f.ContextID != "" {
		where.add("context_id = ?", f.ContextID)
	}
	list, err := all(ctx, d, scanTask, `SELECT `+taskColumns+` FROM tasks `+where.clause()+
		` ORDER BY id DESC`+limit(f.Limit), where.args...)
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	return list, nil
}

// OldTasks lists the finished tasks beyond the newest keep of each type.
func (d *DB) OldTasks(ctx context.Context, keep int) ([]int64, error) {
	list, err := all(ctx, d, func(s scanner) (int64, error) {
		var id int64
		err := s.Scan(&id)
		return id, err
	}, `SELECT id FROM (
			SELECT id, row_number() OVER (PARTITION BY type ORDER BY id DESC) AS n FROM tasks WHERE finished_at IS NOT NULL
		) WHERE n > ? ORDER BY id LIMIT 1000`, keep)
	if err != nil {
		return nil, fmt.Errorf("list old tasks: %w", err)
	}
	return list, nil
}

// DeleteTasks forgets tasks.
func (d *DB) DeleteTasks(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := d.exec(ctx, `DELETE FROM tasks WHERE id IN (`+marks(len(ids))+`)`, anys(ids)...)
	if err != nil {
		return fmt.Errorf("delete %d tasks: %w", len(ids), err)
	}
	return nil
}

const taskColumns = `id, state, type, description, deployment, context_id, user, started_at, finished_at, result`

func scanTask(s scanner) (Task, error) {
	var t Task
	var started, finished sql.NullInt64
	err := s.Scan(&t.ID, &t.State, &t.Type, &t.Description, &t.Deployment, &t.ContextID, &t.User, &started, &finished, &t.Result)
	t.StartedAt, t.FinishedAt = fromUnix(started), fromUnix(finished)
	return t, err
}

// conditions collects the parts of a WHERE clause with their arguments.
type conditions struct {
	parts []string
	args  []any
}

func (c *conditions) add(part string, args ...any) {
	c.parts = append(c.parts, part)
	c.args = append(c.args, args...)
}

func (c *conditions) in(column string, values []any) {
	if len(values) > 0 {
		c.add(column+" IN ("+marks(len(values))+")", values...)
	}
}

func (c *conditions) notIn(column string, values []any) {
	if len(values) > 0 {
		c.add(column+" NOT IN ("+marks(len(values))+")", values...)
	}
}

func (c *conditions) clause() string {
	if len(c.parts) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(c.parts, " AND ")
}

func limit(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" LIMIT %d", n)
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") }

func anys[T any](in []T) []any {
	out := make([]any, len(in))
	for i, v := range in {
		out[i] = v
	}
	return out
}
