package operation

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/agent"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// errandResult is a line of the result of `bosh run-errand`.
type errandResult struct {
	Instance struct {
		Group string `json:"group"`
		ID    string `json:"id"`
	} `json:"instance"`
	ErrandName string     `json:"errand_name"`
	ExitCode   int        `json:"exit_code"`
	Stdout     string     `json:"stdout"`
	Stderr     string     `json:"stderr"`
	Logs       errandLogs `json:"logs"`
}

// errandLogs would name the instance's logs in a blobstore: the local director
// keeps none.
type errandLogs struct {
	BlobstoreID *string `json:"blobstore_id"`
	SHA1        *string `json:"sha1"`
}

// errandRun is the run of an errand under way.
type errandRun struct {
	d      *Director
	run    *task.Run
	r      ErrandRequest
	plan   *plan
	chosen map[string]bool // by instance ID

	job     string          // the job to run; "" runs the group's only one
	own     []*groupPlan    // errand groups, whose instances need VMs
	targets []*instancePlan // where it runs

	mu     sync.Mutex // guards the counts and the task's result
	counts [3]int     // succeeded, errored, cancelled
}

// prepare finds out where the errand runs.
func (e *errandRun) prepare(ctx context.Context, g goal) error {
	if err := e.d.bind(ctx, g, e.plan); err != nil {
		return err
	}
	var groups []*groupPlan
	for _, group := range e.plan.groups {
		if slices.ContainsFunc(group.jobs, func(j plannedJob) bool { return j.Name == e.r.Name }) {
			groups = append(groups, group)
		}
	}
	e.job = e.r.Name
	if len(groups) == 0 {
		group, err := e.groupByName()
		if err != nil {
			return err
		}
		groups, e.job = []*groupPlan{group}, errandJob(group)
	} else if e.plan.group(e.r.Name) != nil {
		e.run.Warn(fmt.Sprintf("Ambiguous request: the requested errand name '%s' matches both a job name and an errand "+
			"instance group name. Executing errand on all relevant instances with job '%s'.", e.r.Name, e.r.Name))
	}
	for _, group := range groups {
		e.addTargets(group)
	}
	for _, group := range e.own {
		if err := e.d.renderGroups(ctx, e.plan, func(other *groupPlan) bool { return other == group }); err != nil {
			return err
		}
	}
	return nil
}

// groupByName finds the errand's instance group when no job has its name.
func (e *errandRun) groupByName() (*groupPlan, error) {
	group := e.plan.group(e.r.Name)
	switch {
	case group == nil:
		return nil, task.Errorf(codeJobNotFound, "Errand '%s' doesn't exist", e.r.Name)
	case !group.Errand():
		return nil, task.Errorf(codeRunErrand, "Instance group '%s' is not an errand. To mark an instance group as an errand "+
			"set its lifecycle to 'errand' in the deployment manifest.", e.r.Name)
	case len(group.instances) == 0:
		return nil, instanceNotFound(e.r.Deployment, e.r.Name, "0")
	case len(e.r.Instances) > 0:
		return nil, task.Errorf(codeRunErrand, "Filtering by instances is not supported when running errand by instance group name")
	}
	return group, nil
}

// errandJob is the job that runs when an errand is named by its group: the
// first that can.
func errandJob(g *groupPlan) string {
	for _, j := range g.jobs {
		if j.spec.RunsAsErrand() {
			return j.Name
		}
	}
	return g.jobs[0].Name
}

// addTargets adds the chosen instances of a group; of an errand's own group
// only the first runs it.
func (e *errandRun) addTargets(group *groupPlan) {
	instances := group.instances
	if group.Errand() {
		instances = instances[:min(1, len(instances))]
	}
	var targets []*instancePlan
	for _, i := range instances {
		switch {
		case !e.chosen[i.row.ID]:
		case !group.Errand() && !i.is.hasVM():
			e.run.Warn("Skipping instance: " + label(i.row) + " no matching VM reference was found")
		default:
			targets = append(targets, i)
		}
	}
	if len(targets) > 1 {
		e.run.Warn("Executing errand on multiple instances in parallel. Use the `--instance` flag to run the errand on a single instance.")
	}
	if group.Errand() && len(targets) > 0 {
		e.own = append(e.own, group)
	}
	e.targets = append(e.targets, targets...)
}

// perform runs the errand and words the outcome.
func (e *errandRun) perform(ctx context.Context) (string, error) {
	state := e.state()
	if e.r.WhenChanged {
		last, err := e.d.db.ErrandState(ctx, e.r.Deployment, e.r.Name)
		if err != nil {
			return "", err
		}
		if last == state {
			return "skipped - no changes detected", nil
		}
	}
	err := e.withVMs(ctx, func() error {
		return inParallel(ctx, e.d.config.MaxThreads, e.targets, e.runOn)
	})
	if err != nil {
		return "", err
	}
	if e.counts[1]+e.counts[2] > 0 {
		state = ""
	}
	if err := e.d.db.SetErrandState(ctx, e.r.Deployment, e.r.Name, state); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d succeeded, %d errored, %d canceled", e.counts[0], e.counts[1], e.counts[2]), nil
}

// state changes whenever what runs, or where, does.
func (e *errandRun) state() string {
	var parts []string
	for _, i := range e.targets {
		hash := i.want.spec.Templates.ConfigurationHash
		if hash == "" && i.is.spec != nil {
			hash = i.is.spec.Templates.ConfigurationHash
		}
		part := i.row.ID + " " + hash
		for _, p := range i.want.spec.Packages {
			part += " " + p.Key
		}
		parts = append(parts, part)
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}

// withVMs gives the instances of errand groups their VMs while f runs.
func (e *errandRun) withVMs(ctx context.Context, f func() error) error {
	if len(e.own) == 0 {
		return f()
	}
	err := e.createOwn(ctx)
	if err == nil {
		err = f()
	}
	if e.r.KeepAlive {
		return err
	}
	if cleanErr := e.deleteOwn(context.WithoutCancel(ctx)); err == nil {
		err = cleanErr
	} else if cleanErr != nil {
		e.run.Log().Error("delete the VMs of an errand", "error", cleanErr)
	}
	return err
}

func (e *errandRun) createOwn(ctx context.Context) error {
	c := compilation{deployment: e.r.Deployment, config: e.plan.cloud.Compilation, cloud: e.plan.cloud}
	var needs requirements
	for _, group := range e.own {
		for _, p := range group.packages {
			if _, err := needs.add(e.plan.releases[p.Release.Name], p.Name, group.stemcell); err != nil {
				return err
			}
		}
	}
	if err := e.d.compileMissing(ctx, e.run, c, needs); err != nil {
		return err
	}
	for _, group := range e.own {
		if err := e.d.resolveGroup(ctx, group); err != nil {
			return err
		}
		if err := e.d.createMissingVMs(ctx, e.run, group.instances); err != nil {
			return err
		}
		if err := e.d.updateGroup(ctx, e.run, group, false); err != nil {
			return err
		}
	}
	return nil
}

func (e *errandRun) deleteOwn(ctx context.Context) error {
	for _, group := range e.own {
		if err := inParallel(ctx, e.d.config.MaxThreads, group.instances, func(ctx context.Context, i *instancePlan) error {
			if i.row.VM != nil && e.d.cloud.Alive(i.row.VM.CID) {
				if err := e.d.unmountDisks(ctx, e.run, i.row); err != nil {
					e.run.Log().Warn("unmount the disk of an errand", "instance", i.row.Name(), "error", err)
				}
			}
			return e.d.deleteVM(ctx, e.run, &i.row)
		}); err != nil {
			return err
		}
	}
	return nil
}

// runOn runs the errand on one instance.
func (e *errandRun) runOn(ctx context.Context, i *instancePlan) error {
	event := db.Event{Action: "run", ObjectType: "errand", ObjectName: e.r.Name, Deployment: e.r.Deployment, Instance: i.row.Name()}
	return audited(ctx, e.run, event, func(end *db.Event) error {
		client, err := e.d.agentOf(e.run, i.row)
		if err != nil {
			return err
		}
		var result agent.ErrandResult
		err = e.run.Stage("Running errand", 1).Do(label(i.row), func(*task.Step) (err error) {
			result, err = client.RunErrand(ctx, e.job)
			return agentFault(ctx, i.row, err)
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
		end.Context = eventContext(map[string]any{"exit_code": result.ExitCode})
		if writeErr := e.report(i.row, result); err == nil {
			err = writeErr
		}
		return err
	})
}

func (e *errandRun) report(row db.Instance, result agent.ErrandResult) error {
	line := errandResult{ErrandName: e.r.Name, ExitCode: result.ExitCode, Stdout: result.Stdout, Stderr: result.Stderr}
	line.Instance.Group, line.Instance.ID = row.Group, row.ID
	text, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("encode the result of errand %s: %w", e.r.Name, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case result.ExitCode == 0:
		e.counts[0]++
	case result.ExitCode <= 128:
		e.counts[1]++
	default:
		e.counts[2]++
	}
	if _, err := e.run.Result().Write(append(text, '\n')); err != nil {
		return fmt.Errorf("write the result of errand %s: %w", e.r.Name, err)
	}
	return nil
}
