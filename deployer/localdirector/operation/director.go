package operation

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/holdfast-osb/holdfast/deployer/localdirector/db"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/release"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/render"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/task"
	"github.com/holdfast-osb/holdfast/deployer/localdirector/vm"
)

// Config is what a Director needs. What says "default" may be left out.
type Config struct {
	DB       *db.DB
	Host     *vm.Host
	Queue    *task.Queue
	Releases *release.Store
	Compiled *release.CompiledCache
	Renderer *render.Renderer
	// Dir holds the rendered templates of instances and temporary files.
	Dir string
	// Name is the director's; variables are stored below it.
	Name string
	// ResurrectionDelay is how long a VM must have been dead before it is
	// brought back. Negative: never.
	ResurrectionDelay time.Duration
	// AgentTimeout is how long an agent may stay silent before its VM is taken
	// for hung and brought back like a dead one. Default 60 s.
	AgentTimeout time.Duration
	// MaxThreads bounds what one task does at the same time where the manifest
	// does not. Default 8.
	MaxThreads int
	Log        *slog.Logger
}

// Director carries out operations. Its methods may be called concurrently;
// those of one deployment wait for each other by its lock.
type Director struct {
	db        *db.DB
	cloud     cloud
	queue     *task.Queue
	releases  artifacts
	compiled  *release.CompiledCache
	renderer  renderer
	archives  *archives
	tmp       string
	addresses *addresses
	compiling keyedMutex
	deaths    chan string
	config    Config
	log       *slog.Logger
	now       func() time.Time
}

// artifacts is where releases are kept; *release.Store.
type artifacts interface {
	JobSource(ctx context.Context, job release.Job) (*release.JobSource, error)
	Path(blob string) (string, error)
}

// renderer fills in templates; *render.Renderer.
type renderer interface {
	Render(ctx context.Context, r render.Request) ([]render.Rendered, error)
}

// New prepares a Director. Call Recover before tasks run.
func New(c Config) (*Director, error) {
	return newDirector(c, newHostCloud(c.Host), c.Releases, c.Renderer)
}

func newDirector(c Config, on cloud, releases artifacts, renderer renderer) (*Director, error) {
	if c.AgentTimeout <= 0 {
		c.AgentTimeout = time.Minute
	}
	if c.MaxThreads <= 0 {
		c.MaxThreads = 8
	}
	archives, err := openArchives(filepath.Join(c.Dir, "templates"))
	if err != nil {
		return nil, err
	}
	return &Director{
		db: c.DB, cloud: on, queue: c.Queue, releases: releases, compiled: c.Compiled, renderer: renderer,
		archives: archives, tmp: filepath.Join(c.Dir, "tmp"), addresses: newAddresses(c.DB),
		deaths: make(chan string, 1024), config: c, log: c.Log, now: time.Now,
	}, nil
}

// newGUID returns a random identifier in the form the director uses for
// instances and agents.
func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// locked runs f while the task holds the deployment's lock.
func locked(ctx context.Context, run *task.Run, deployment string, f func() (string, error)) (string, error) {
	unlock, err := run.Lock(ctx, "deployment", deployment)
	if err != nil {
		return "", err
	}
	defer unlock()
	return f()
}
