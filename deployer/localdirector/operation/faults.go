package operation

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// The director's error codes that operations end tasks with.
const (
	codeDeploymentNotFound       = 70000
	codeInstanceNotFound         = 70001
	codeJobNotFound              = 70009
	codePackageCollision         = 80011
	codeInvalidLifecycle         = 90000
	codeReleaseMissingJob        = 140029
	codeIgnoredInstancesModified = 190020
	codeIgnoredInstancesDeleted  = 190021
	codeAgentJobNotRunning       = 400007
	codeBadManifest              = 440001
	codeRPCRemote                = 450001
	codeRPCTimeout               = 450002
	codeRunErrand                = 510000
)

// agentFault gives an error of an instance's agent the words and the code the
// director has for it. Other errors, and those of a task that was cancelled,
// stay as they are.
func agentFault(ctx context.Context, row db.Instance, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	var (
		timeout *agent.TimeoutError
		refused *agent.Error
	)
	switch {
	case errors.As(err, &timeout):
		agentID := ""
		if row.VM != nil {
			agentID = row.VM.AgentID
		}
		return task.Errorf(codeRPCTimeout, "Timed out sending '%s' to instance: '%s', agent-id: '%s' after %d seconds",
			timeout.Method, row.Name(), agentID, int(timeout.After.Seconds()))
	case errors.As(err, &refused):
		return task.Errorf(codeRPCRemote, "%s", refused.Message)
	}
	return err
}

// unreachable tells whether an agent did not answer, as opposed to having
// answered with a fault.
func unreachable(err error) bool {
	var timeout *agent.TimeoutError
	return errors.As(err, &timeout)
}

// deploymentNotFound turns the absence of a deployment's row into the
// director's fault.
func deploymentNotFound(name string, err error) error {
	if errors.Is(err, db.ErrNotFound) {
		return task.Errorf(codeDeploymentNotFound, "Deployment '%s' doesn't exist", name)
	}
	return err
}

// label is an instance as events show it: "web/GUID (0)".
func label(row db.Instance) string { return fmt.Sprintf("%s (%d)", row.Name(), row.Index) }
