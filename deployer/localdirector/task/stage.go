package task

// Stage is a named part of a task with a known number of steps. Steps of one
// stage may run at the same time.
type Stage struct {
	run   *Run
	name  string
	tags  []string
	total int
}

// Step is one entry of a stage: begun by Stage.Step, ended by Finished or
// Failed.
type Step struct {
	stage *Stage
	name  string
	index int
}

// event is one line of a task's event output.
type event struct {
	Time     int64     `json:"time"`
	Stage    string    `json:"stage"`
	Tags     []string  `json:"tags"`
	Total    int       `json:"total"`
	Task     string    `json:"task"`
	Index    int       `json:"index"`
	State    string    `json:"state"`
	Progress int       `json:"progress"`
	Data     *stepData `json:"data,omitempty"`
}

type stepData struct {
	Status string `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Stage announces a stage of total steps. Tags are shown beside its name
// ("Updating instance web").
func (r *Run) Stage(name string, total int, tags ...string) *Stage {
	if tags == nil {
		tags = []string{}
	}
	return &Stage{run: r, name: name, tags: tags, total: total}
}

// Step begins the next step and writes its "started" line.
func (s *Stage) Step(name string) *Step {
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	s.run.steps[s]++
	step := &Step{stage: s, name: name, index: s.run.steps[s]}
	step.write("started", 0, nil)
	return step
}

// Do runs f as the next step: started, then finished or failed.
func (s *Stage) Do(name string, f func(*Step) error) error {
	step := s.Step(name)
	if err := f(step); err != nil {
		step.Failed(err)
		return err
	}
	step.Finished()
	return nil
}

// InProgress tells how far the step is, in percent, and what it does.
func (t *Step) InProgress(percent int, status string) {
	t.write("in_progress", percent, &stepData{Status: status})
}

// Finished ends the step.
func (t *Step) Finished() { t.write("finished", 100, nil) }

// Failed ends the step with an error. The error of a cancelled task reads
// "Task N cancelled", whatever the step was interrupted in.
func (t *Step) Failed(err error) {
	t.write("failed", 100, &stepData{Error: t.stage.run.describe(err).Message})
}

func (t *Step) write(state string, progress int, data *stepData) {
	detail := ""
	if data != nil {
		detail = data.Status + data.Error
	}
	t.stage.run.log.Info("event", "stage", t.stage.name, "task", t.name, "state", state, "detail", detail)
	t.stage.run.writeEvent(event{
		Time: t.stage.run.now().Unix(), Stage: t.stage.name, Tags: t.stage.tags, Total: t.stage.total,
		Task: t.name, Index: t.index, State: state, Progress: progress, Data: data,
	})
}
