package agent

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cloudfoundry/bosh-agent/v2/agentclient/applyspec"
)

// DrainType says why an instance is drained.
type DrainType string

// The director's reasons: update keeps the VM and gives it another spec,
// shutdown ends the VM or stops its jobs.
const (
	DrainUpdate   DrainType = "update"
	DrainShutdown DrainType = "shutdown"
)

// Prepare downloads and unpacks what spec needs beside what runs. Repeating is
// harmless.
func (c *Client) Prepare(ctx context.Context, spec applyspec.ApplySpec) error {
	_, err := c.runAgain(ctx, "prepare", spec)
	return err
}

// Apply installs spec's packages and jobs and makes it the VM's spec. A spec
// without a ConfigurationHash is recorded only. Repeating is harmless.
func (c *Client) Apply(ctx context.Context, spec applyspec.ApplySpec) error {
	_, err := c.runAgain(ctx, "apply", spec)
	return err
}

// RunScript runs the script of that name in all jobs of the applied spec in
// parallel (pre-start, post-start, post-deploy, pre-stop, post-stop); jobs
// without it are left out. The Error names the jobs that failed.
func (c *Client) RunScript(ctx context.Context, name string, env map[string]string) error {
	options := map[string]any{}
	if len(env) > 0 {
		options["env"] = env
	}
	_, err := c.run(ctx, "run_script", name, options)
	return err
}

// Start writes the monit files of the applied spec, reloads monit and asks it
// to start all jobs. It returns before they run: look at State.
func (c *Client) Start(ctx context.Context) error {
	value, err := c.sendStart(ctx)
	if err != nil {
		return err
	}
	if string(value) != `"started"` {
		return &Error{"start", fmt.Sprintf("agent answered %s to start", value)}
	}
	return nil
}

// sendStart gives start the whole ReplyTimeout for its one request: the agent
// answers only when monit has reloaded.
func (c *Client) sendStart(ctx context.Context) (json.RawMessage, error) {
	patient := *c
	patient.options.RequestTimeout = c.options.ReplyTimeout
	return patient.send(ctx, "start", false)
}

// Stop has monit stop all jobs and waits until they have stopped, for at most
// the agent's five minutes. Stopping a stopped VM is harmless.
func (c *Client) Stop(ctx context.Context) error {
	_, err := c.run(ctx, "stop")
	return err
}

// Drain takes the jobs out of monit's care and runs their drain scripts in
// parallel. Dynamic drains are looped and static ones waited for by the agent
// itself. next is what comes after an update; a shutdown needs none.
func (c *Client) Drain(ctx context.Context, why DrainType, next *applyspec.ApplySpec) error {
	arguments := []any{why}
	if next != nil {
		arguments = append(arguments, next)
	}
	_, err := c.run(ctx, "drain", arguments...)
	return err
}

// ErrandResult is what an errand's bin/run wrote and how it ended.
type ErrandResult struct {
	Stdout   string `json:"stdout"`
	Stderr   string `json:"stderr"`
	ExitCode int    `json:"exit_code"`
}

// RunErrand runs bin/run of that job. An exit code other than 0 is a result,
// not an error. When ctx ends, the errand gets SIGTERM, after 10 s SIGKILL, and
// its result comes back together with the error.
func (c *Client) RunErrand(ctx context.Context, job string) (ErrandResult, error) {
	var result ErrandResult
	value, err := c.run(ctx, "run_errand", job)
	if len(value) > 0 {
		if decodeErr := json.Unmarshal(value, &result); decodeErr != nil && err == nil {
			err = &Error{"run_errand", fmt.Sprintf("agent's result of run_errand cannot be read: %v", decodeErr)}
		}
	}
	return result, err
}
