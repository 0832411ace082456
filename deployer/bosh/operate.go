package bosh

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/internal/fault"
)

// begin bounds a call that may act and keeps others off its deployment.
func (s *Service) begin(ctx context.Context, name string) (context.Context, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	release, err := s.locks.acquire(ctx, name)
	if err != nil {
		cancel()
		return nil, nil, unavailable(err)
	}
	return ctx, func() { release(); cancel() }, nil
}

// own finds the tasks of an operation. An id that another deployment or
// another kind of operation has used is refused.
func (s *Service) own(ctx context.Context, name, operationID string, kind func(task) bool) ([]task, error) {
	own, err := s.remote.tasksOf(ctx, operationID)
	if err != nil {
		return nil, unavailable(err)
	}
	for _, t := range own {
		if t.Deployment != name || kind != nil && !kind(t) {
			return nil, fault.InvalidField("operation_id", "belongs to another operation: %s", t.Description)
		}
	}
	if len(own) > 0 {
		s.submissions.settled(name, operationID)
	}
	return own, nil
}

func without(tasks, own []task) []task {
	return slices.DeleteFunc(tasks, func(t task) bool {
		return slices.ContainsFunc(own, func(o task) bool { return o.ID == t.ID })
	})
}

// unsettled tells whether a submission for the deployment may still turn into
// a task.
func (s *Service) unsettled(name string) bool {
	return s.submissions.open(name, s.now().Add(-s.config.SettleTime)) != ""
}

func (s *Service) observeDelete(ctx context.Context, name, operationID string) (observed, error) {
	var o observed
	var err error
	if o.own, err = s.own(ctx, name, operationID, task.isDelete); err != nil {
		return o, err
	}
	if o.others, err = s.remote.holding(ctx, name); err != nil {
		return o, unavailable(err)
	}
	o.others = without(o.others, o.own)
	if _, o.exists, err = s.remote.manifest(ctx, name); err != nil {
		return o, unavailable(err)
	}
	o.unsettled = s.unsettled(name)
	if !o.exists && len(o.own) == 0 {
		// A predecessor of this process may have left a submission without
		// an answer, which this one does not remember.
		o.unsettled = o.unsettled || s.now().Sub(s.started) < s.config.SettleTime
	}
	if done := last(o.own, task.done); done != nil && o.exists {
		recent, err := s.remote.recent(ctx, name)
		if err != nil {
			return o, unavailable(err)
		}
		o.reborn = last(recent, func(t task) bool { return t.isDeploy() && t.ID > done.ID })
	}
	return o, nil
}

// decideDelete adds to the decision what this process knows: a delete that was
// once told to have succeeded stays so, whatever is made under its name later.
func (s *Service) decideDelete(operationID string, o observed) decision {
	if s.concluded.has(operationID) {
		return decision{step: report, state: deployer.Succeeded, task: last(o.own, task.done)}
	}
	d := decideDelete(o)
	if d.step == report && d.state == deployer.Succeeded && len(o.own) > 0 {
		s.concluded.add(operationID)
	}
	return d
}

// submit hands an operation to the director. It is not given up when the
// caller goes away: half a submission is the worst of all.
func (s *Service) submit(ctx context.Context, name, operationID string, send func(context.Context) (task, error)) (deployer.Operation, error) {
	none := deployer.Operation{}
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.RequestTimeout+time.Second)
	defer cancel()
	t, err := send(sending)
	switch {
	case err == nil:
		return s.tellSubmitted(ctx, name, operationID, t)
	case absent(err, codeNoDeployment):
		return none, err
	case refused(err):
		s.log.WarnContext(ctx, "submission refused", "deployment", name, "operation_id", operationID, "error", err.Error())
		return deployer.Operation{ID: operationID, Deployment: name, State: deployer.Failed, Error: err.Error()}, nil
	case !inDoubt(err):
		return none, unavailable(err)
	}
	s.submissions.doubt(name, operationID, s.now())
	s.log.WarnContext(ctx, "submission without an answer", "deployment", name, "operation_id", operationID, "error", err.Error())
	own, lookErr := s.own(sending, name, operationID, nil)
	if lookErr != nil || len(own) == 0 {
		return none, unavailable(err)
	}
	return s.tellSubmitted(ctx, name, operationID, own[len(own)-1])
}

// tellSubmitted makes the operation just after its submission. A task that
// has ended already is told to run: what its end means is for the next call to
// decide, with all that is to be seen then.
func (s *Service) tellSubmitted(ctx context.Context, name, operationID string, t task) (deployer.Operation, error) {
	s.log.InfoContext(ctx, "task submitted", "deployment", name, "operation_id", operationID, "task_id", t.ID)
	op := deployer.Operation{ID: operationID, Deployment: name, State: deployer.Running, TaskID: t.ID, StartedAt: t.StartedAt,
		Progress: deployer.Progress{Total: wholeTask}}
	if t.unfinished() {
		op.State = stateOf(t)
	}
	return op, nil
}

// tell makes the operation that callers see.
func (s *Service) tell(ctx context.Context, name, operationID string, d decision, o observed) (deployer.Operation, error) {
	op := deployer.Operation{ID: operationID, Deployment: name, State: d.state}
	if d.task != nil {
		op.TaskID, op.StartedAt, op.EndedAt = d.task.ID, d.task.StartedAt, d.task.EndedAt
	}
	switch {
	case op.State == deployer.Waiting:
		op.Progress.Message = waitingFor(o)
	case op.State == deployer.Succeeded:
		op.Progress = deployer.Progress{Done: wholeTask, Total: wholeTask}
	case op.State == deployer.Queued || d.task == nil:
		op.Progress.Total = wholeTask
	default:
		told, err := s.stories.read(ctx, s.remote, d.task.ID, s.now())
		if err != nil {
			return deployer.Operation{}, unavailable(err)
		}
		op.Progress = told.progress()
		if op.State == deployer.Failed {
			op.Error = reason(*d.task, told)
		}
	}
	return op, nil
}

// reason is why a task failed: its last event, which has the whole text, or
// else its result. A task whose worker was killed has neither.
func reason(t task, told story) string {
	switch {
	case told.failure != "":
		return told.failure
	case t.Result != "":
		return t.Result
	}
	return fmt.Sprintf("task %d ended in state %s without a reason", t.ID, t.State)
}

func waitingFor(o observed) string {
	switch {
	case len(o.others) > 0:
		t := o.others[0]
		return fmt.Sprintf("waiting for task %d (%s, %s)", t.ID, t.Description, t.State)
	case o.unsettled:
		return "waiting whether the director took an earlier submission"
	}
	return "waiting to be submitted"
}
