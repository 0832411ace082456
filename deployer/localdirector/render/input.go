package render

import (
	"maps"
	"slices"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// rubyInput is what context.rb reads. A job's templates go over once, however
// many instances run it.
type rubyInput struct {
	MemoryLimit int64      `json:"memory_limit"`
	Jobs        []rubyJob  `json:"jobs"`
	Work        []rubyWork `json:"work"`
}

type rubyJob struct {
	Name      string         `json:"name"`
	Templates []rubyTemplate `json:"templates"`
}

type rubyTemplate struct {
	Source  string `json:"source"`
	Target  string `json:"target"`
	Content []byte `json:"content"`
}

// rubyWork is one job of one instance.
type rubyWork struct {
	Job  int            `json:"job"`
	Spec map[string]any `json:"spec"`
}

// input gathers what Ruby needs. Properties that cannot be used are faults.
func (r *Renderer) input(req Request) (rubyInput, *faults) {
	in := rubyInput{MemoryLimit: r.opts.MemoryLimit, Jobs: []rubyJob{}, Work: []rubyWork{}}
	faults := &faults{}
	sent := map[*release.JobSource]int{}
	for _, instance := range req.Instances {
		for _, job := range instance.Jobs {
			properties, err := jobProperties(job.Source.Job, job.Properties)
			if err != nil {
				faults.add(instance.Group, job.Source.Job.Name, err.Error())
				continue
			}
			index, ok := sent[job.Source]
			if !ok {
				index = len(in.Jobs)
				sent[job.Source] = index
				in.Jobs = append(in.Jobs, newRubyJob(job.Source))
			}
			spec := maps.Clone(job.Spec)
			if spec == nil {
				spec = map[string]any{}
			}
			spec["properties"], spec["links"] = properties, job.Links
			in.Work = append(in.Work, rubyWork{Job: index, Spec: spec})
		}
	}
	return in, faults
}

func newRubyJob(source *release.JobSource) rubyJob {
	job := rubyJob{Name: source.Job.Name, Templates: []rubyTemplate{{Source: "monit", Target: "monit", Content: source.Monit}}}
	for _, src := range slices.Sorted(maps.Keys(source.Job.Templates)) {
		job.Templates = append(job.Templates, rubyTemplate{Source: src, Target: source.Job.Templates[src], Content: source.Templates[src]})
	}
	return job
}
