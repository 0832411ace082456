package task

// The states of a task.
const (
	StateQueued     = "queued"
	StateProcessing = "processing"
	StateCancelling = "cancelling"
	StateCancelled  = "cancelled"
	StateDone       = "done"
	StateError      = "error"
	StateTimeout    = "timeout"
)

// Unfinished reports whether a task in this state may still change.
func Unfinished(state string) bool {
	return state == StateQueued || state == StateProcessing || state == StateCancelling
}
