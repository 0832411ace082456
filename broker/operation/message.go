package operation

import (
	"fmt"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer"
	"github.com/holdfast-osb/holdfast/store"
)

var stateMessages = map[store.State]string{
	store.Queued:      "Waiting to start",
	store.Preparing:   "Preparing",
	store.Deploying:   "Deploying",
	store.Configuring: "Configuring the service",
	store.Restoring:   "The update failed: restoring what the instance was before",
	store.Unbinding:   "Removing bindings",
	store.Deleting:    "Deleting",
	store.Cleaning:    "Cleaning up",
	store.Succeeded:   "Done",
}

// QueuedMessage is what a new operation says.
func QueuedMessage() string { return stateMessages[store.Queued] }

// progressMessage tells in the director's words how far a task is:
// "Creating missing vms: node/0 … 3/9".
func progressMessage(state store.State, p *deployer.Progress) string {
	text := stateMessages[state]
	if p == nil || p.Stage == "" {
		return text
	}
	text = p.Stage
	if p.Message != "" {
		text += ": " + p.Message
	}
	if p.Total > 0 {
		text += fmt.Sprintf(" … %d/%d", p.Done, p.Total)
	}
	return text
}

// failureMessage tells the user what did not work and what to do.
func failureMessage(op store.Operation, f *failure, reference string) string {
	why := strings.TrimRight(f.why, ". ")
	switch op.Kind {
	case store.Create:
		return fmt.Sprintf("The instance could not be created: %s. Delete it and create it again; if that does not help, give your operator the reference %s.", why, reference)
	case store.Delete:
		return fmt.Sprintf("The instance could not be deleted: %s. Delete it again; if that does not help, give your operator the reference %s.", why, reference)
	}
	switch {
	case op.State == store.Restoring && f.usable:
		return fmt.Sprintf("The update failed and the instance was brought back to what it was before: it is usable with its earlier plan and parameters. Update it again later, or give your operator the reference %s.", reference)
	case f.usable:
		return fmt.Sprintf("The update was not begun: %s. The instance is usable with its earlier plan and parameters. Reference %s.", why, reference)
	default:
		return fmt.Sprintf("The update failed, and bringing the instance back to what it was failed too: %s. Its data is kept. Update it again, or give your operator the reference %s.", why, reference)
	}
}
