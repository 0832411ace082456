package directortest

import (
	"encoding/json"
	"fmt"
	"time"

	"gopkg.in/yaml.v3"
)

// enqueue makes a task and lets a worker have it. The caller holds mu.
func (f *Fake) enqueue(description, name, contextID, manifest string, force bool) *task {
	t := &task{id: len(f.tasks) + 1, description: description, deployment: name, contextID: contextID, user: f.Username, state: "queued"}
	f.tasks = append(f.tasks, t)
	if f.closed {
		return t
	}
	f.running.Add(1)
	go func() {
		defer f.running.Done()
		f.workers <- struct{}{}
		defer func() { <-f.workers }()
		f.work(t, manifest, force)
	}()
	return t
}

// taskError is one that the director writes as the last event.
type taskError struct {
	code    int
	message string
}

func (e *taskError) Error() string { return e.message }

func (f *Fake) work(t *task, manifest string, force bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.state != "queued" {
		return // cancelled, or lost in a restart
	}
	t.state = "processing"
	now := time.Now().Unix()
	t.startedAt = &now
	err := f.locked(t, func(d *deployment) error {
		if t.description == "create deployment" {
			return f.deploy(t, d, manifest)
		}
		return f.delete(t, d, force)
	})
	switch {
	case !t.unfinished(): // lost in a restart
	case err == nil:
		result := "/deployments/" + t.deployment
		f.end(t, "done", result, 0, "")
	case t.cancel:
		f.end(t, "cancelled", "task cancelled", 10001, fmt.Sprintf("Task %d cancelled", t.id))
	default:
		code := 100
		if e, ok := err.(*taskError); ok {
			code = e.code
		}
		result := err.Error()
		if len(result) > 128 {
			result = result[:125] + "..."
		}
		f.end(t, "error", result, code, err.Error())
	}
}

func (f *Fake) end(t *task, state, result string, code int, message string) {
	if code != 0 {
		f.line(t, map[string]any{"time": time.Now().Unix(), "error": map[string]any{"code": code, "message": message}})
	}
	now := time.Now().Unix()
	t.state, t.result, t.endedAt = state, &result, &now
	f.changed.Broadcast()
}

// locked runs a task's work under the deployment's lock, as the director does.
func (f *Fake) locked(t *task, work func(*deployment) error) error {
	d := f.deployments[t.deployment]
	if d == nil {
		if t.description != "create deployment" {
			return &taskError{70000, fmt.Sprintf("Deployment '%s' doesn't exist", t.deployment)}
		}
		d = &deployment{name: t.deployment, groups: map[string][]instance{}}
		f.deployments[t.deployment] = d
	}
	for deadline := time.Now().Add(f.options.LockTimeout); d.lockedBy != 0; {
		if t.cancel || !t.unfinished() {
			return &taskError{10001, "cancelled"}
		}
		if time.Now().After(deadline) {
			return &taskError{100, fmt.Sprintf("Failed to acquire lock for lock:deployment:%s uid: 947bc65c-9a2b-49b7-a40f-7ef9311efd06. "+
				"Locking task id is %d, description: 'create deployment'", t.deployment, d.lockedBy)}
		}
		f.sleep(time.Millisecond)
	}
	// The one that held the lock may have deleted the deployment.
	if now := f.deployments[t.deployment]; now != d {
		return f.locked(t, work)
	}
	d.lockedBy = t.id
	defer func() {
		if d.lockedBy == t.id {
			d.lockedBy = 0
		}
	}()
	return work(d)
}

// sleep lets others have the director meanwhile.
func (f *Fake) sleep(d time.Duration) {
	f.mu.Unlock()
	time.Sleep(d)
	f.mu.Lock()
}

// step is a moment of a task's work: it can be paused, cancelled, killed.
func (f *Fake) step(t *task) error {
	f.sleep(f.options.Step)
	for f.paused && !t.cancel && t.unfinished() {
		f.changed.Wait()
	}
	if t.cancel || !t.unfinished() {
		return &taskError{10001, fmt.Sprintf("Task %d cancelled", t.id)}
	}
	return nil
}

// manifestModel is what the fake understands of a manifest.
type manifestModel struct {
	Stemcells *[]any `yaml:"stemcells"`
	Groups    []struct {
		Name      string `yaml:"name"`
		Instances *int   `yaml:"instances"`
		Jobs      []struct {
			Name       string `yaml:"name"`
			Properties struct {
				Fail struct {
					PreStart bool `yaml:"pre_start"`
				} `yaml:"fail"`
			} `yaml:"properties"`
		} `yaml:"jobs"`
	} `yaml:"instance_groups"`
}

func (f *Fake) deploy(t *task, d *deployment, manifest string) error {
	var m manifestModel
	if err := yaml.Unmarshal([]byte(manifest), &m); err != nil {
		return &taskError{40001, "Required property 'releases' was not specified in object"}
	}
	if m.Stemcells != nil && len(*m.Stemcells) == 0 {
		return &taskError{190019, "'stemcells' needs to be specified"}
	}
	if err := f.stage(t, "Preparing deployment", nil, "Preparing deployment"); err != nil {
		return err
	}
	for _, g := range m.Groups {
		wanted := f.options.Instances
		if g.Instances != nil {
			wanted = *g.Instances
		}
		for len(d.groups[g.Name]) < wanted {
			n := len(d.groups[g.Name])
			id := fmt.Sprintf("cfffc224-bafa-4a75-8fcd-%04d%08d", n, t.id)
			d.groups[g.Name] = append(d.groups[g.Name], instance{id, f.nextAddress()})
			if err := f.stage(t, "Creating missing vms", nil, fmt.Sprintf("%s/%s (%d)", g.Name, id, n)); err != nil {
				return err
			}
		}
		for n, i := range d.groups[g.Name] {
			if err := f.stage(t, "Updating instance", []string{g.Name}, fmt.Sprintf("%s/%s (%d)", g.Name, i.id, n),
				"executing pre-stop", "executing drain", "stopping jobs", "executing pre-start", "starting jobs", "executing post-start"); err != nil {
				return err
			}
			if fault := f.takeFault("TASK", d.name); fault != nil {
				return &taskError{fault.Status, fault.Body}
			}
		}
		for _, j := range g.Jobs {
			if j.Properties.Fail.PreStart {
				return &taskError{450001, "Action Failed get_task: Task 4476f011-a5d2-4553-6483-5ef6ae4d468e result: 1 of 1 pre-start scripts failed. Failed Jobs: " + j.Name + "."}
			}
		}
	}
	d.manifest = &manifest
	return nil
}

func (f *Fake) delete(t *task, d *deployment, force bool) error {
	for group, members := range d.groups {
		for n, i := range members {
			if err := f.stage(t, "Deleting instances", nil, fmt.Sprintf("%s/%s (%d)", group, i.id, n)); err != nil {
				return err
			}
		}
	}
	if fault := f.takeFault("TASK", d.name); fault != nil && !force {
		return &taskError{fault.Status, fault.Body}
	}
	if err := f.stage(t, "Removing deployment artifacts", nil, "Detaching stemcells"); err != nil {
		return err
	}
	if err := f.stage(t, "Deleting properties", nil, "Destroying deployment"); err != nil {
		return err
	}
	delete(f.deployments, d.name)
	return nil
}

// stage writes the events of one piece of work.
func (f *Fake) stage(t *task, stage string, tags []string, work string, statuses ...string) error {
	if tags == nil {
		tags = []string{}
	}
	write := func(state string, progress int, status string) error {
		e := map[string]any{"time": time.Now().Unix(), "stage": stage, "tags": tags, "total": 1, "task": work, "index": 1,
			"state": state, "progress": progress}
		if status != "" {
			e["data"] = map[string]any{"status": status}
		}
		f.line(t, e)
		return f.step(t)
	}
	if err := write("started", 0, ""); err != nil {
		return err
	}
	for i, s := range statuses {
		if err := write("in_progress", 100*(i+1)/len(statuses), s); err != nil {
			return err
		}
	}
	return write("finished", 100, "")
}

func (f *Fake) line(t *task, event map[string]any) {
	encoded, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	t.events = append(append(t.events, encoded...), '\n')
}
