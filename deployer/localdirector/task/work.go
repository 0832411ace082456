package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
)

// resultCancelled is the short result of every cancelled task.
const resultCancelled = "task cancelled"

// finishPause is how long to wait before trying again to store a task's end.
const finishPause = time.Second

// work runs tasks until the queue closes.
func (q *Queue) work(urgentOnly bool) {
	for {
		j := q.next(urgentOnly)
		if j == nil {
			return
		}
		q.perform(j)
		q.mu.Lock()
		delete(q.live, j.task.ID)
		q.ended++
		prune := q.ended%pruneEvery == 0
		q.mu.Unlock()
		j.cancel(nil)
		if prune {
			if err := q.prune(q.base); err != nil {
				q.log.Error("remove old tasks", "error", err)
			}
		}
	}
}

// next waits for a task to run; nil when the queue closes. The row says
// "processing" when it returns, before anyone can cancel it as queued.
func (q *Queue) next(urgentOnly bool) *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		var j *job
		switch {
		case len(q.urgent) > 0:
			j, q.urgent = q.urgent[0], q.urgent[1:]
		case !urgentOnly && len(q.ordinary) > 0:
			j, q.ordinary = q.ordinary[0], q.ordinary[1:]
		case q.closing:
			return nil
		default:
			q.changed.Wait()
			continue
		}
		j.task.State, j.task.StartedAt = StateProcessing, q.now()
		if _, err := q.db.UpdateTask(context.WithoutCancel(j.ctx), j.task, StateQueued); err != nil {
			q.log.Error("begin a task", "task_id", j.task.ID, "error", err)
			delete(q.live, j.task.ID)
			continue
		}
		return j
	}
}

// perform runs a task and stores how it ended. Outputs are complete and locks
// given back before its state says that it ended.
func (q *Queue) perform(j *job) {
	log := q.log.With("task_id", j.task.ID)
	out, err := q.openOutputs(j.task.ID)
	if err != nil {
		log.Error("open the task's outputs", "error", err)
		q.finish(j, StateError, "open the task's outputs: "+err.Error())
		return
	}
	r := newRun(j.ctx, q, j.task, out)
	log.Info("task started", "description", j.task.Description, "deployment", j.task.Deployment)
	r.log.Info("task started", "task_id", j.task.ID, "description", j.task.Description, "deployment", j.task.Deployment, "context_id", j.task.ContextID)
	result, err := r.call(j.f)
	r.end()
	state := StateDone
	if err != nil {
		e := r.describe(err)
		r.log.Error("task failed", "error", err)
		if cause, ok := errors.AsType[*Error](context.Cause(j.ctx)); ok && cause.Code == CodeTaskCancelled {
			e, state, result = cause, StateCancelled, resultCancelled
		} else {
			state, result = StateError, e.Message
		}
		line, err := errorLine(q.now(), e)
		if err == nil {
			_, err = io.WriteString(out.event, line)
		}
		if err != nil {
			log.Error("write the task's error", "error", err)
		}
	}
	r.log.Info("task ended", "state", state)
	if err := out.close(); err != nil {
		log.Error("close the task's outputs", "error", err)
	}
	q.finish(j, state, result)
	if state == StateError {
		log.Warn("task failed", "error", result)
		return
	}
	log.Info("task ended", "state", state)
}

// call runs the task's function; a panic fails the task, not the director.
func (r *Run) call(f Func) (result string, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			r.queue.log.Error("a task panicked", "task_id", r.task.ID, "stack", string(debug.Stack()))
			err = Errorf(CodeUnknown, "Internal error in task %d: see its debug log", r.task.ID)
		}
	}()
	return f(r.ctx, r)
}

// finish stores how a task ended. A full disk is given time to be noticed:
// until the row says so, clients wait for the task.
func (q *Queue) finish(j *job, state, result string) {
	t := j.task
	t.State, t.Result, t.FinishedAt = state, truncate(result), q.now()
	for {
		ok, err := q.db.UpdateTask(context.WithoutCancel(j.ctx), t, StateProcessing, StateCancelling)
		if ok {
			return
		}
		q.log.Error("store the end of a task", "task_id", t.ID, "state", state, "error", err)
		if err == nil {
			return // the row is gone or says otherwise: trying again changes nothing
		}
		select {
		case <-time.After(finishPause):
		case <-q.base.Done():
			return
		}
	}
}

// prune forgets the oldest finished tasks beyond what is kept of each type.
func (q *Queue) prune(ctx context.Context) error {
	ids, err := q.db.OldTasks(ctx, q.keep)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := os.RemoveAll(q.folder(id)); err != nil {
			return fmt.Errorf("remove the output of task %d: %w", id, err)
		}
	}
	return q.db.DeleteTasks(ctx, ids)
}

// truncate shortens a result as the director does, at a word's end; the
// event output has all of it.
func truncate(result string) string {
	const most = 128
	text := []rune(strings.TrimSpace(result))
	if len(text) <= most {
		return string(text)
	}
	return lastWord.ReplaceAllString(string(text[:most+1]), "") + "..."
}

var lastWord = regexp.MustCompile(`\s+\S*$`)
