package operation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

// agentOf reaches the agent of the instance's VM. What is asked of it goes to
// the task's debug log.
func (d *Director) agentOf(run *task.Run, row db.Instance) (agentClient, error) {
	if row.VM == nil {
		return nil, fmt.Errorf("instance %s has no VM", row.Name())
	}
	return d.agentOfVM(row.VM.CID, run.Log().With("instance", row.Name()))
}

// agentOfVM reaches the agent of a VM. One that is gone does not answer.
func (d *Director) agentOfVM(cid string, log *slog.Logger) (agentClient, error) {
	client, gone, err := d.cloud.Agent(cid)
	if errors.Is(err, vm.ErrNotFound) {
		return nil, &agent.TimeoutError{Method: "ping", Cause: errGone}
	}
	if err != nil {
		return nil, fmt.Errorf("reach the agent of VM %s: %w", cid, err)
	}
	return watched{agent: client, gone: gone, log: log}, nil
}

// observeAgent asks the agent what its jobs do.
func (d *Director) observeAgent(ctx context.Context, row db.Instance) (agent.State, error) {
	client, err := d.agentOfVM(row.VM.CID, slog.New(slog.DiscardHandler))
	if err != nil {
		return agent.State{}, err
	}
	return client.State(ctx)
}

// errGone is why an agent does not answer whose VM is dead.
var errGone = errors.New("the VM is gone")

// watched is an agent whose VM may die at any time: what is asked of it then
// fails at once, as it would have after the agent's patience was over.
type watched struct {
	agent agentClient
	gone  <-chan struct{}
	log   *slog.Logger
}

// ask asks the agent for something, and notes how long it took. Quiet messages
// change nothing and are noted only when they fail. When the VM dies, ask does
// not wait for the agent's client to see it, which first tries to cancel.
func ask[T any](ctx context.Context, w watched, method string, quiet bool, f func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	begin := time.Now()
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	answers := make(chan answer, 1)
	go func() {
		value, err := f(asking)
		answers <- answer{value, err}
	}()
	var a answer
	select {
	case a = <-answers:
	case <-w.gone:
		cancel(errGone)
		a.err = &agent.TimeoutError{Method: method, After: time.Since(begin), Cause: errGone}
	}
	took := time.Since(begin).Round(time.Millisecond)
	switch {
	case a.err != nil:
		w.log.Info("agent", "method", method, "took", took, "error", a.err)
	case !quiet:
		w.log.Info("agent", "method", method, "took", took)
	}
	return a.value, a.err
}

// tell is ask for messages that have no answer.
func tell(ctx context.Context, w watched, method string, f func(context.Context) error) error {
	_, err := ask(ctx, w, method, false, func(ctx context.Context) (struct{}, error) { return struct{}{}, f(ctx) })
	return err
}
