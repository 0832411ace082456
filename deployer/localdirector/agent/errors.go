package agent

import (
	"fmt"
	"time"
)

// Error is the agent's answer that a message failed. Its text is the agent's
// own, which the director shows unchanged, for example
// "Action Failed get_task: Task … result: 1 of 1 pre-start scripts failed. Failed Jobs: web."
type Error struct {
	Method  string
	Message string
}

func (e *Error) Error() string { return e.Message }

// TimeoutError says that the agent could not be reached for After while Method
// was being sent or its result awaited. The director shows it with the
// instance's name: "Timed out sending 'run_script' to instance: 'web/…', agent-id: '…' after 45 seconds".
type TimeoutError struct {
	Method string
	After  time.Duration
	Cause  error
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("timed out sending %q to the agent after %v: %v", e.Method, e.After, e.Cause)
}

func (e *TimeoutError) Unwrap() error { return e.Cause }
