package operation

import (
	"context"
	"slices"
	"strings"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
)

// RunErrand runs an errand on all instances that have it, or on those that are
// asked for, and writes a line for each to the task's result. An exit code
// other than 0 is a result, not a fault. The instances of an errand's own group
// get their VMs for the run, and keep them only with keep-alive.
func (d *Director) RunErrand(ctx context.Context, run *task.Run, r ErrandRequest) (string, error) {
	return locked(ctx, run, r.Deployment, func() (string, error) {
		dep, document, err := d.deployedManifest(ctx, r.Deployment)
		if err != nil {
			return "", err
		}
		chosen, err := d.chooseInstances(ctx, r)
		if err != nil {
			return "", err
		}
		g := goal{deployment: r.Deployment, document: document, cloudIDs: dep.CloudConfigIDs}
		p, err := d.parse(ctx, run.Redact, g)
		if err != nil {
			return "", err
		}
		defer func() { p.release() }()
		e := &errandRun{d: d, run: run, r: r, plan: p, chosen: chosen}
		err = run.Stage("Preparing deployment", 1).Do("Preparing deployment", func(*task.Step) error { return e.prepare(ctx, g) })
		if err != nil {
			return "", err
		}
		return e.perform(ctx)
	})
}

// chooseInstances resolves the request's filters. Every filter must match.
func (d *Director) chooseInstances(ctx context.Context, r ErrandRequest) (map[string]bool, error) {
	rows, err := d.db.Instances(ctx, r.Deployment)
	if err != nil {
		return nil, err
	}
	chosen := map[string]bool{}
	if len(r.Instances) == 0 {
		for _, row := range rows {
			chosen[row.ID] = true
		}
	}
	var unmatched []string
	for _, f := range r.Instances {
		ids := f.match(rows)
		if len(ids) == 0 {
			unmatched = append(unmatched, strings.TrimSuffix(f.Group+"/"+f.ID, "/"))
		}
		for _, id := range ids {
			chosen[id] = true
		}
	}
	if len(unmatched) > 0 {
		return nil, task.Errorf(task.CodeUnknown, "No instances match selection criteria: [%s]", strings.Join(unmatched, ", "))
	}
	var stopped []string
	for _, row := range rows {
		if chosen[row.ID] && row.State == db.StateStopped {
			stopped = append(stopped, "'"+row.Name()+"'")
		}
	}
	if len(stopped) > 0 {
		return nil, task.Errorf(codeRunErrand, "Instance(s) %s is stopped, unable to run errand. Maybe start vm?", strings.Join(stopped, ","))
	}
	return chosen, nil
}

// match lists the IDs of the instances that the filter means.
func (f InstanceFilter) match(rows []db.Instance) []string {
	var ids []string
	for _, row := range rows {
		if row.Group == f.Group && (f.ID == "first" || matches(row, f.Group, f.ID)) {
			ids = append(ids, row.ID)
		}
	}
	if f.ID == "first" && len(ids) > 1 {
		slices.Sort(ids)
		ids = ids[:1]
	}
	return ids
}

// Errands lists what can be run as an errand: the errand groups, and the jobs
// with a bin/run. Faults: 70000.
func (d *Director) Errands(ctx context.Context, deployment string) ([]string, error) {
	dep, document, err := d.deployedManifest(ctx, deployment)
	if err != nil {
		return nil, err
	}
	p, err := d.parse(ctx, func(...string) {}, goal{deployment: deployment, document: document, cloudIDs: dep.CloudConfigIDs})
	if err != nil {
		return nil, err
	}
	if err := d.bindGroups(ctx, p); err != nil {
		return nil, err
	}
	var groups, jobs []string
	for _, g := range p.groups {
		if g.Errand() {
			groups = append(groups, g.Name)
		}
		for _, j := range g.jobs {
			if j.spec.RunsAsErrand() {
				jobs = append(jobs, j.Name)
			}
		}
	}
	names := []string{}
	for _, name := range append(groups, jobs...) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}
