package operation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// startJobs runs pre-start, starts all jobs, waits until they run and runs
// post-start.
func startJobs(ctx context.Context, client agentClient, row db.Instance, watch manifest.WatchTime, p *progress) error {
	p.advance(10, "executing pre-start")
	if err := client.RunScript(ctx, "pre-start", nil); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.advance(20, "starting jobs")
	if err := client.Start(ctx); err != nil {
		return err
	}
	if err := awaitRunning(ctx, client, row, watch); err != nil {
		return err
	}
	p.advance(10, "executing post-start")
	return client.RunScript(ctx, "post-start", nil)
}

// awaitRunning looks for the first time when the lower watch time has passed,
// so that jobs which crash at once are not taken for running, and then until
// they run or the upper one has passed. The director looks ten times; looking
// more often costs nothing here and ends sooner.
func awaitRunning(ctx context.Context, client agentClient, row db.Instance, watch manifest.WatchTime) error {
	end := time.Now().Add(watch.Max)
	pause := watch.Min
	for {
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		state, err := client.State(ctx)
		if err != nil {
			return err
		}
		if state.JobState == jobsRunning {
			return nil
		}
		left := time.Until(end)
		if left <= 0 {
			return notRunning(row, state)
		}
		pause = min(100*time.Millisecond, left)
	}
}

func notRunning(row db.Instance, state agent.State) error {
	var failing []string
	for _, p := range state.Processes {
		if p.State != jobsRunning {
			failing = append(failing, p.Name)
		}
	}
	message := fmt.Sprintf("'%s' is not running after update.", label(row))
	if len(failing) > 0 {
		message += " Review logs for failed jobs: " + strings.Join(failing, ", ")
	}
	return task.Errorf(codeAgentJobNotRunning, "%s", message)
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
