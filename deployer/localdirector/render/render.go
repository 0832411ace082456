package render

import (
	"context"
	"errors"
	"io/fs"

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
	Spec Spec
	Jobs []Job
}

// Spec is what templates find in `spec`, beside release and properties, which are the job's.
type Spec struct {
	Deployment     string
	Name           string // of the instance group
	ID             string
	Index          int
	AZ             string
	Bootstrap      bool
	Lifecycle      string
	Networks       map[string]map[string]any // by name: ip, netmask, gateway, dns, default, type, …
	Address        string                    // the network address; IP when empty
	IP             string                    // when empty, that of the addressable or the gateway's network
	PersistentDisk int                       // MiB
}

// Job is one job of an instance.
type Job struct {
	Source         *release.JobSource
	ReleaseName    string
	ReleaseVersion string
	// Properties are those of the manifest, variables filled in. The job's
	// defaults are merged here and what it does not declare is left out.
	Properties map[string]any
	// Links by the name under which the job consumes them, each with
	// "instances" (name, index, id, az, address, bootstrap), "properties" and
	// for a manual link "address".
	Links map[string]any
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
	Ruby        string // the interpreter; "ruby" from the PATH by default
	OutputLimit int64  // of all rendered files of a call together; 64 MiB by default
	MemoryLimit int64  // of the Ruby process' address space; 2 GiB by default
}

// Renderer renders jobs. It may be used by several goroutines.
type Renderer struct{ opts Options }

// New returns a Renderer. The interpreter is looked up when it is needed.
func New(opts Options) *Renderer { return &Renderer{opts: opts} }

// Render renders all instances, in the order given. When templates fail it
// returns an *Error that tells of all of them.
func (r *Renderer) Render(ctx context.Context, req Request) ([]Rendered, error) {
	return nil, errors.ErrUnsupported
}

// Error tells of all templates that could not be rendered, in the director's words.
type Error struct{ Message string }

func (e *Error) Error() string { return e.Message }
