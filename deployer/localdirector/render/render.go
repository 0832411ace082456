package render

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/manifest"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
)

// Request names everything to be rendered in one go.
type Request struct {
	Instances []Instance
	// Secrets are values, such as those of variables, that no error message may show.
	Secrets []string
}

// Instance is one instance of an instance group with the jobs it runs.
type Instance struct {
	Group string
	Jobs  []Job
}

// Job is one job of an instance.
type Job struct {
	Source *release.JobSource
	// Spec is what templates find in `spec` (manifest.InstanceSpec); the
	// job's properties and links are added here.
	Spec map[string]any
	// Properties are those of the manifest with variables filled in. The job's
	// defaults are merged here and what it does not declare is left out.
	Properties map[string]any
	// Links by the name under which the job consumes them.
	Links map[string]manifest.Link
}

// Rendered is the outcome for one instance.
type Rendered struct {
	Jobs []RenderedJob
	// ConfigurationHash changes whenever any file of any job does.
	ConfigurationHash string
	// Archive is a gzipped tarball laid out as the agent expects a
	// rendered_templates_archive: <job>/monit, <job>/<template's target>.
	// Equal files make an equal archive. It holds secrets.
	Archive []byte
	// ArchiveDigest is the archive's "sha256:…".
	ArchiveDigest string
}

// RenderedJob holds the files of one job, sorted by path.
type RenderedJob struct {
	Name  string
	Files []File
	Hash  string
}

// File is a rendered file; Path is relative to the job's folder.
type File struct {
	Path    string
	Mode    fs.FileMode
	Content []byte
}

// TemplateHashes returns the hash of each job by its name.
func (r Rendered) TemplateHashes() map[string]string {
	hashes := make(map[string]string, len(r.Jobs))
	for _, j := range r.Jobs {
		hashes[j.Name] = j.Hash
	}
	return hashes
}

// Options configures a Renderer. Zero values mean the defaults.
type Options struct {
	Ruby        string        // the interpreter; "ruby" from the PATH by default
	Timeout     time.Duration // of a call; 2 minutes by default
	OutputLimit int64         // of all rendered files of a call together; 64 MiB by default
	MemoryLimit int64         // of the interpreter's address space; 2 GiB by default
}

// Renderer renders jobs. It may be used by several goroutines.
type Renderer struct{ opts Options }

// New returns a Renderer. The interpreter is looked up when it is needed.
func New(opts Options) *Renderer {
	if opts.Ruby == "" {
		opts.Ruby = "ruby"
	}
	if opts.Timeout == 0 {
		opts.Timeout = 2 * time.Minute
	}
	if opts.OutputLimit == 0 {
		opts.OutputLimit = 64 << 20
	}
	if opts.MemoryLimit == 0 {
		opts.MemoryLimit = 2 << 30
	}
	return &Renderer{opts: opts}
}

// Render renders all instances, in the order given. When templates fail it
// returns an *Error that tells of all of them.
func (r *Renderer) Render(ctx context.Context, req Request) ([]Rendered, error) {
	in, faults := r.input(req)
	if err := faults.err(req.Secrets); err != nil {
		return nil, err
	}
	out, err := r.runRuby(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("render templates: %w", err)
	}
	if len(out.Results) != len(in.Work) {
		return nil, fmt.Errorf("render templates: ruby answered for %d of %d jobs", len(out.Results), len(in.Work))
	}
	rendered := make([]Rendered, len(req.Instances))
	next := 0
	for i, instance := range req.Instances {
		for _, job := range instance.Jobs {
			result := out.Results[next]
			next++
			name := job.Source.Job.Name
			for _, e := range result.Errors {
				faults.add(instance.Group, name, e.String())
			}
			rendered[i].Jobs = append(rendered[i].Jobs, newRenderedJob(name, result.Files))
		}
	}
	if err := faults.err(req.Secrets); err != nil {
		return nil, err
	}
	for i := range rendered {
		if err := rendered[i].seal(); err != nil {
			return nil, fmt.Errorf("pack rendered templates: %w", err)
		}
	}
	return rendered, nil
}
