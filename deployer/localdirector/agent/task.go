package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"
)

// cancelGrace is how long a cancelled task may take to end: the agent gives
// scripts 10 s between SIGTERM and SIGKILL.
const cancelGrace = 15 * time.Second

type taskState struct {
	ID    string `json:"agent_task_id"`
	State string `json:"state"`
}

// run sends a message that the agent works on in the background and waits for
// its result. When ctx ends first, the agent is told to cancel; if it can, run
// waits for the end and returns what came of it together with ctx's error.
func (c *Client) run(ctx context.Context, method string, arguments ...any) (json.RawMessage, error) {
	value, err := c.send(ctx, method, false, arguments...)
	if err != nil {
		return nil, err
	}
	task, running := asRunningTask(value)
	if !running {
		return nil, &Error{method, fmt.Sprintf("agent's reply to %s names no task: %s", method, value)}
	}
	value, err = c.await(ctx, task.ID)
	if ctx.Err() == nil || (err == nil && value != nil) {
		return value, err
	}
	cause := context.Cause(ctx)
	grace, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelGrace)
	defer stop()
	// Tried once: a VM that is gone is a common reason to give up.
	if _, err := c.once(grace, "cancel_task", []any{task.ID}); err != nil {
		return nil, fmt.Errorf("%s: %w (the agent could not cancel it: %w)", method, cause, err)
	}
	value, _ = c.await(grace, task.ID)
	return value, fmt.Errorf("%s: cancelled: %w", method, cause)
}

// agentDeaths is how often an agent may end while it works on one message.
const agentDeaths = 3

// runAgain is run for messages whose repetition is harmless: when the agent ended
// before it answered, or has forgotten the task because it ended and was started
// again, the message is sent once more. The agent ends by itself when its
// heartbeat reads its spec in the instant in which an apply writes it.
func (c *Client) runAgain(ctx context.Context, method string, arguments ...any) (json.RawMessage, error) {
	for deaths := 0; ; deaths++ {
		value, err := c.run(ctx, method, arguments...)
		if !(forgotten(err) || brokenOff(err, method)) || deaths == agentDeaths {
			return value, err
		}
	}
}

// brokenOff tells whether the connection ended before the agent answered the message.
func brokenOff(err error, method string) bool {
	var timeout *TimeoutError
	if !errors.As(err, &timeout) || timeout.Method != method {
		return false
	}
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(timeout.Cause, end) {
			return true
		}
	}
	return false
}

// forgotten tells whether the agent does not know a task that it was given.
func forgotten(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Method == "get_task" && strings.HasSuffix(refused.Message, " could not be found")
}

// await polls a task until it is no longer running.
func (c *Client) await(ctx context.Context, taskID string) (json.RawMessage, error) {
	pause := c.options.PollInterval
	for {
		value, err := c.send(ctx, "get_task", true, taskID)
		if err != nil {
			return nil, err
		}
		if _, running := asRunningTask(value); !running {
			return value, nil
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
		pause = min(pause+pause/4, 10*c.options.PollInterval)
	}
}

func asRunningTask(value json.RawMessage) (taskState, bool) {
	var t taskState
	err := json.Unmarshal(value, &t)
	return t, err == nil && t.ID != "" && t.State == "running"
}

// CancelTask asks the agent to cancel a task by its id. Errands and drains can
// be cancelled; for the rest the agent answers an Error.
func (c *Client) CancelTask(ctx context.Context, taskID string) error {
	_, err := c.send(ctx, "cancel_task", true, taskID)
	return err
}
